"""Runs Lua scripts on the keys of a namespace: on those of one queue, or on those of several at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeVar

from aioq_redis.client.client import Client
from aioq_redis.client.url import Durability, Settings
from aioq_redis.storage.keys import KeySpace, sibling_key
from aioq_redis.storage.scripts import load

__all__ = ["Database", "gather_all", "gather_by", "group_by", "queue_of", "ungroup"]

T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K")

queue_of: Final[Callable[[Any], str]] = attrgetter("queue")
"""Returns the attribute `queue`."""


class Database(Client):
    """A client that runs the scripts by name.

    Args:
        settings: The address of the server, and how to log in.
        timeout: Seconds that one call may take, retries included.
        durability: How many replicas must have a job before `enqueue` returns.
    """

    def __init__(self, settings: Settings, *, timeout: float, durability: Durability) -> None:
        super().__init__(
            settings, timeout=timeout, durability=durability, marker_key=partial(sibling_key, name="copied")
        )

    def call(
        self, name: str, space: KeySpace, args: Sequence[object], *, own: str = "", each: Sequence[str] = ()
    ) -> Coroutine[Any, Any, Any]:
        """Run a script on keys that share a hash tag, and return its reply.

        Args:
            name: The name of the script.
            space: The keys of a queue or of the fleet.
            args: The arguments of the script.
            own: The owner in names of keys like `worker:<id>`.
            each: The owners for a key like `cron:<name>...`, one key for each.

        Raises:
            BrokerUnavailable: The server could not be reached, or was not ready, in time.
            BrokerConfigError: The server rejects the script, for a reason that will not pass.
            BrokerFull: The server has no memory left.
        """
        script = load(name)
        keys = space.pick(script.keys, own, each)
        return self.run_script(script, keys, args, partial(self.find_mistyped, space, keys))

    def read(self, verb: str, key: str, *parts: object) -> Coroutine[Any, Any, Any]:
        """Send a plain command that reads one key, and return its reply.

        Raises:
            BrokerUnavailable, BrokerConfigError: As for `call`.
        """
        space = KeySpace(key[1:].partition("}")[0])
        return self.command(verb, key, *parts, find_mistyped=partial(self.find_mistyped, space, [key]))

    async def find_mistyped(self, space: KeySpace, keys: Sequence[str]) -> str:
        """Return a text that names the first key with the wrong type."""
        # Only after an error, so that no call pays for these checks.
        for key in keys:
            found = await self.ask("TYPE", key)
            kind = found.decode() if isinstance(found, bytes) else "none"
            if kind not in ("none", space.type_of(key)):
                return f"key {key} is a {kind} and should be a {space.type_of(key)}; remove it or use another namespace"
        return "a key is of the wrong type"


async def gather_all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await calls concurrently and all to their end; then raise the first error, if there is one."""
    coroutines = list(calls)
    if len(coroutines) <= 1:
        return [await coroutine for coroutine in coroutines]
    results: list[T] = []
    # All of them: a call that is left running could still write after its caller has got the error.
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


def group_by(items: Iterable[T], key_of: Callable[[T], K]) -> dict[K, list[T]]:
    """Return the items of each key, such as a queue, in order."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key_of(item), []).append(item)
    return groups


def ungroup(items: Iterable[T], answers: Mapping[K, Iterable[R]], key_of: Callable[[T], K]) -> list[R]:
    """Return the answers to grouped items in the order of the items; `answers` has one for each item of a group."""
    following = {key: iter(part) for key, part in answers.items()}
    return [next(following[key_of(item)]) for item in items]


async def gather_by(
    items: Sequence[T],
    work: Callable[[K, list[T]], Coroutine[Any, Any, Sequence[R]]],
    key_of: Callable[[T], K],
) -> list[R]:
    """Do the work of each key concurrently, and return all answers in the order of the items.

    Args:
        items: The items.
        work: Called with a key and its items; returns one answer for each.
        key_of: Returns the queue of an item, or a key that contains it.
    """
    groups = group_by(items, key_of)
    # Each queue may be on another node of a cluster, so no single script can do it.
    answers = await gather_all(work(key, own) for key, own in groups.items())
    return ungroup(items, dict(zip(groups, answers, strict=True)), key_of)
