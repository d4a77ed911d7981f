"""Retries broker calls until they succeed, and logs each outage once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aioq.clock import Clock
from aioq.errors import AioqError, BrokerUnavailable
from aioq.retry import full_jitter
from aioq.serialization.failure import error_text
from aioq.worker.log import logger

__all__ = ["OUTAGES", "BrokerRetry"]

T = TypeVar("T")

OUTAGES: Final = (BrokerUnavailable, OSError)
"""Errors that mean that the broker did not answer. Every other error is an answer: the broker rejected the call."""

REJECTION_LOG_INTERVAL = 60.0
"""Seconds for which the same rejection is not logged again."""


class BrokerRetry:
    """Repeats broker calls until they succeed. All calls of a worker share one, so that an outage is logged once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failing = 0
        """Calls that are being repeated at the moment."""
        self._down_since: float | None = None
        self._rejections: dict[str, float] = {}
        """When each rejection was logged, by its text."""

    async def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `call`, which is made until it succeeds and must be safe to repeat."""
        try:
            return await call()
        except Exception as error:
            return await self.repeat(call, after=error)

    async def repeat(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        after: Exception,
        pause: Callable[[float], Awaitable[None]] | None = None,
    ) -> T:
        """Return the result of `call`, after a first call has failed.

        The parts of the worker that call the broker for every job make the first call themselves: it is one frame less.
        Waits a random time between the calls, up to 1.5 s.

        Args:
            after: The error of the first call.
            pause: Waits for a number of seconds; if it raises, the calls end. The clock's sleep when None.
        """
        pause = pause or self._clock.sleep
        failures = 0
        self._failing += 1
        self._log_failure(after)
        try:
            while True:
                # Also before the first repetition: after a failover all workers would otherwise come back at the same
                # moment.
                await pause(full_jitter(failures))
                try:
                    answer = await call()
                except Exception as error:
                    failures += 1
                    self._log_failure(error)
                else:
                    self._log_recovery()
                    return answer
        finally:
            self._failing -= 1
            # When no call is failing any more, answered or given up, the next failure is a new outage.
            if not self._failing:
                self._down_since = None

    def _log_failure(self, error: Exception) -> None:
        text = error_text(error)
        now = self._clock.monotonic()
        if isinstance(error, OUTAGES):
            # Heartbeat, claims and reports fail together in an outage: the first of them logs it for all.
            if self._down_since is None:
                self._down_since = now
                logger.error(
                    "broker unreachable, retrying until it answers: %s", text, extra={"event": "broker_unreachable"}
                )
            return
        # Old entries are removed here: every text may be different, and a rejection may last for days.
        self._rejections = {text: at for text, at in self._rejections.items() if now - at < REJECTION_LOG_INTERVAL}
        if text not in self._rejections:
            self._rejections[text] = now
            expected = isinstance(error, AioqError)
            logger.error(
                "broker rejected the call, retrying: %s",
                text,
                exc_info=None if expected else error,
                extra={"event": "broker_rejected_call"},
            )

    def _log_recovery(self) -> None:
        if self._down_since is not None:
            logger.warning(
                "broker reachable again after %.1f s",
                self._clock.monotonic() - self._down_since,
                extra={"event": "broker_reachable"},
            )
            self._down_since = None
