"""The worker's line to its broker: it breaks, it is mended, nobody dies of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aioq.errors import AioqError, BrokerUnavailable
from aioq.failure import one_line
from aioq.protocols import Clock
from aioq.retry import full_jitter
from aioq.worker.log import logger

__all__ = ["Link"]

T = TypeVar("T")


class Link:
    """Repeats broker calls until they succeed, and tells of an outage once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._down_since: float | None = None

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` returns, however often it has to be made.

        The call must be safe to repeat. Waits 0.1 s to 5 s between tries, at random.
        """
        failures = 0
        while True:
            try:
                answer = await call()
            except Exception as error:
                self._failed(error)
            else:
                self._succeeded()
                return answer
            await self._clock.sleep(full_jitter(failures))
            failures += 1

    def _failed(self, error: Exception) -> None:
        if self._down_since is None:
            self._down_since = self._clock.monotonic()
            unforeseen = not isinstance(error, AioqError)
            what = "is unreachable" if isinstance(error, BrokerUnavailable) else "refuses a call"
            text = one_line(str(error) or type(error).__name__)
            logger.error("the broker %s; trying again until it answers: %s", what, text, exc_info=unforeseen)

    def _succeeded(self) -> None:
        if self._down_since is not None:
            logger.warning("the broker answers again after %.1f s", self._clock.monotonic() - self._down_since)
            self._down_since = None
