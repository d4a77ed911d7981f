"""Shares what pages read from the broker, so that many open pages cost it little more than one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

import anyio

from aioq.clock import Clock, SystemClock

__all__ = ["SharedReads"]

T = TypeVar("T")

MAX_KEPT: Final = 500
"""Answers that are kept."""


@dataclass(slots=True)
class _Answer:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    read_at: float = float("-inf")
    value: Any = None


class SharedReads:
    """Keeps the latest answers of the broker. Requests that ask the same at the same time wait for one answer."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    async def get(self, key: Hashable, read: Callable[[], Awaitable[T]], *, max_age: float) -> T:
        """Return an answer that was asked for at most `max_age` seconds before this call.

        Args:
            key: What is asked.
            read: Asks the broker. If it raises, so does this call, and the next one asks again.
            max_age: 0 for an answer that is asked for from now on.
        """
        called_at = self._clock.monotonic()
        answer = self._answers.setdefault(key, _Answer())
        self._answers.move_to_end(key)
        if len(self._answers) > MAX_KEPT:
            self._answers.popitem(last=False)
        async with answer.lock:
            # Another request may have asked while this one waited for the lock.
            if answer.read_at < called_at - max_age:
                asked_at = self._clock.monotonic()
                answer.value = await read()
                answer.read_at = asked_at
            return cast("T", answer.value)

    def forget(self) -> None:
        """Ask again with the next request, because something was changed."""
        self._answers.clear()
