"""Runs Lua scripts on the keys of a namespace: on those of one queue, or on those of several at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeVar

from aioq.errors import BrokerUnavailable
from aioq_redis.client.client import Client
from aioq_redis.client.url import Durability, Settings
from aioq_redis.storage.keys import KeySpace, sibling_key
from aioq_redis.storage.scripts import load

__all__ = ["Database", "gather_all", "group_by", "in_parts", "queue_of", "ungroup"]

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
            settings,
            timeout=timeout,
            durability=durability,
            marker_key=partial(sibling_key, name="copied"),
            describe_key=self._describe_type,
        )

    def call(
        self,
        name: str,
        space: KeySpace,
        args: Sequence[object],
        *,
        own: str = "",
        each: Sequence[str] = (),
        patient: bool = True,
    ) -> Coroutine[Any, Any, Any]:
        """Run a script on keys that share a hash tag, and return its reply.

        Args:
            name: The name of the script.
            space: The keys of a queue or of the fleet.
            args: The arguments of the script.
            own: The owner in names of keys like `worker:<id>`.
            each: The owners for a key like `cron:<name>...`, one key for each.
            patient: Whether to repeat it although the keys' server is away while others are not; see `in_parts`.

        Raises:
            BrokerUnavailable: The server could not be reached, or was not ready, in time.
            BrokerConfigError: The server rejects the script, for a reason that will not pass.
            BrokerFull: The server has no memory left.
        """
        script = load(name)
        keys = space.pick(script.keys, own, each)
        find_mistyped = partial(self.find_mistyped, space, keys)
        return self.run_script(script, keys, args, find_mistyped, patient=patient)

    async def find_mistyped(self, space: KeySpace, keys: Sequence[str]) -> str:
        """Return a text that names the first key with the wrong type."""
        # Only after an error, so that no call pays for these checks.
        for key in keys:
            found = await self.ask("TYPE", key)
            kind = found.decode() if isinstance(found, bytes) else "none"
            if kind not in ("none", space.type_of(key)):
                return f"key {key} is a {kind} and should be a {space.type_of(key)}; remove it or use another namespace"
        return "a key is of the wrong type"

    def _describe_type(self, key: str) -> Coroutine[Any, Any, str]:
        return self.find_mistyped(KeySpace(key[1:].partition("}")[0]), [key])


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


async def in_parts(
    calls: Mapping[K, Coroutine[Any, Any, T]], *, may_all_fail: bool = False
) -> tuple[dict[K, T], dict[K, BrokerUnavailable]]:
    """Await calls concurrently; return the answers, and the errors of those whose server cannot be reached.

    The key of a call is its queue, or contains it. No call should be patient: the nodes of a cluster that can be
    reached must not wait for the others.

    Args:
        calls: The calls by key.
        may_all_fail: Whether to return also if none of their servers can be reached.

    Raises:
        BrokerUnavailable: None of their servers can be reached, unless `may_all_fail`.
        Exception: Another error of one of the calls.
    """
    results = await asyncio.gather(*calls.values(), return_exceptions=True)
    answers: dict[K, T] = {}
    away: dict[K, BrokerUnavailable] = {}
    for key, result in zip(calls, results, strict=True):
        if isinstance(result, BrokerUnavailable):
            away[key] = result
        elif isinstance(result, BaseException):
            raise result
        else:
            answers[key] = result
    if away and not answers and not may_all_fail:
        raise next(iter(away.values()))
    return answers, away


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
