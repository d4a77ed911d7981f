"""Decides who may see the dashboard, and who may change what."""

from __future__ import annotations

import inspect
import ipaddress
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from starlette.requests import Request

__all__ = ["Access", "Gate", "Right", "User", "is_loopback"]


class Right(StrEnum):
    """What a user may change. To see everything needs no right of its own."""

    JOBS = "jobs"
    """Retry, replay and cancel jobs, and dismiss failures."""
    QUEUES = "queues"
    """Pause and resume queues."""
    CRONS = "crons"
    """Pause, resume, run and backfill crons."""


@dataclass(frozen=True, slots=True)
class User:
    """The person who makes a request.

    Args:
        name: The name that is recorded with each change; 1 to 200 characters.
        rights: What this user may change; nothing by default.
    """

    name: str
    rights: frozenset[Right] = frozenset()


class Access(Protocol):
    """Decides who makes a request. It may be a coroutine function."""

    def __call__(self, request: Request, /) -> User | Awaitable[User | None] | None:
        """Return the user of a request, or None to refuse it.

        It reads a session, a header of a proxy, or what the program around the dashboard has authenticated.
        """
        ...


LOCAL_NAMES: Final = ("localhost", "localhost.")


@dataclass(frozen=True, slots=True)
class Gate:
    """Finds the user of each request.

    Args:
        access: The rule of the program; None to let in programs of this machine only.
        local_user: The user of requests from this machine if there is no rule.
    """

    access: Access | None
    local_user: User

    async def user_of(self, request: Request) -> User | None:
        """Return the user of a request; None if it is refused."""
        if self.access is None:
            return self.local_user if _is_local(request) else None
        found = self.access(request)
        return await found if inspect.isawaitable(found) else found


def _is_local(request: Request) -> bool:
    """Return whether a request comes from this machine and names it.

    The name counts, too: a page of another site may make a name of its own point to this machine.
    """
    client = request.client
    return client is not None and is_loopback(client.host) and is_loopback(request.url.hostname or "")


def is_loopback(host: str) -> bool:
    """Return whether a name or an address means this machine."""
    if host.lower() in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
