"""The worker's line to its broker: it breaks, it is mended, nobody dies of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aioq.clock import Clock
from aioq.errors import AioqError, BrokerUnavailable
from aioq.retry import full_jitter
from aioq.serialization.failure import error_text
from aioq.worker.log import logger

__all__ = ["BrokerRetry"]

T = TypeVar("T")

OUTAGES: Final = (BrokerUnavailable, OSError)
"""What says that nobody answers. Anything else is an answer, and a refusal."""

QUIET = 60.0
"""Seconds for which the same refusal is not logged again."""


class BrokerRetry:
    """Repeats broker calls until they succeed, and tells of an outage once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failing = 0
        self._down_since: float | None = None
        self._refused: dict[str, float] = {}

    async def call(
        self, call: Callable[[], Awaitable[T]], *, pause: Callable[[float], Awaitable[None]] | None = None
    ) -> T:
        """Return what `call` returns, however often it has to be made.

        The call must be safe to repeat. Waits up to 1.5 s between tries, at random.

        Args:
            pause: How to wait so many seconds, if not asleep; what it raises ends the tries.
        """
        pause = pause or self._clock.sleep
        failures = 0
        try:
            while True:
                try:
                    answer = await call()
                except Exception as error:
                    self._failing += not failures
                    failures += 1
                    self._tell(error)
                else:
                    if failures:
                        self._mended()
                    return answer
                await pause(full_jitter(failures - 1))
        finally:
            if failures:
                self._given_up()

    def _tell(self, error: Exception) -> None:
        text = error_text(error)
        now = self._clock.monotonic()
        if isinstance(error, OUTAGES):
            if self._down_since is None:
                self._down_since = now
                logger.error("the broker is unreachable; trying again until it answers: %s", text)
        elif text not in self._refused or now - self._refused[text] >= QUIET:
            self._refused = {said: at for said, at in self._refused.items() if now - at < QUIET} | {text: now}
            foreseen = isinstance(error, AioqError)
            logger.error("the broker refuses a call; trying again until it does not: %s", text, exc_info=not foreseen)

    def _mended(self) -> None:
        if self._down_since is not None:
            logger.warning("the broker answers again after %.1f s", self._clock.monotonic() - self._down_since)
            self._down_since = None

    def _given_up(self) -> None:
        """When no call is failing any more, answered or called off, the next failure is news again."""
        self._failing -= 1
        if not self._failing:
            self._down_since = None
