"""Retries broker calls until they succeed, and logs each outage once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from aioq.clock import Clock
from aioq.errors import AioqError, BrokerUnavailable, PartlyUnavailable
from aioq.events import Events, WorkerEvent, WorkerFact
from aioq.retry import full_jitter
from aioq.serialization.failure import error_text
from aioq.worker.log import logger

__all__ = ["OUTAGES", "BrokerRetry", "Trouble"]

T = TypeVar("T")

OUTAGES: Final = (BrokerUnavailable, OSError)
"""Errors that mean that the broker did not answer. Every other error is an answer: the broker rejected the call."""

REJECTION_LOG_INTERVAL = 60.0
"""Seconds for which the same rejection is not logged again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why broker calls fail at the moment."""

    away: bool
    """Whether the broker does not answer. If not, it rejects a call."""
    seconds: float
    """How long it has been so."""
    reason: str


class BrokerRetry:
    """Repeats broker calls until they succeed. All calls of a worker share one, so that an outage is logged once.

    Args:
        events: Where the beginning and the end of an outage are told.
        worker_id: The worker.
    """

    def __init__(self, clock: Clock, *, events: Events, worker_id: str) -> None:
        self._clock = clock
        self._events = events
        self._worker_id = worker_id
        self._failing: dict[object, tuple[float, Exception]] = {}
        """The calls that are being repeated: when the first try began, and the error of the last one."""
        self._down_since: float | None = None
        self._announced = False
        """Whether the outage of these calls was logged: not if it is that of queues that are known to be away."""
        self.queues_away: dict[str, float] = {}
        """The queues that cannot be reached while others can, and when that was noticed."""
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
        limit: float | None = None,
    ) -> T:
        """Return the result of `call`, after a first call has failed.

        The parts of the worker that call the broker for every job make the first call themselves: it is one frame less.
        Waits a random time between the calls, up to 1.5 s.

        Args:
            after: The error of the first call.
            pause: Waits for a number of seconds; if it raises, the calls end. The clock's sleep when None.
            limit: Seconds after which the error is raised, from the beginning of the first try that failed; none when
                None.
        """
        pause = pause or self._clock.sleep
        failures = 0
        error = after
        began = self._clock.monotonic() - _tried_for(error)
        token = object()
        try:
            while True:
                self._failing[token] = began, error
                self._note_failure(error)
                if limit is not None and self._clock.monotonic() - began >= limit:
                    raise error
                # Also before the first repetition: after a failover all workers would otherwise come back at the same
                # moment.
                await pause(full_jitter(failures))
                try:
                    answer = await call()
                except Exception as raised:
                    failures += 1
                    error = raised
                else:
                    self._note_success(token)
                    return answer
        finally:
            self._failing.pop(token, None)
            # When no call finds the broker away any more, answered or given up, the next failure is a new outage.
            if not self._away:
                self._down_since = None

    def trouble(self) -> Trouble | None:
        """Return why calls are being repeated, unless only because some queues cannot be reached; None if none is."""
        now = self._clock.monotonic()
        if self._down_since is not None and self._announced and (away := self._away):
            return Trouble(True, now - self._down_since, _text(away[-1]))
        rejected = [(began, error) for began, error in self._failing.values() if not isinstance(error, OUTAGES)]
        if not rejected:
            return None
        began, error = rejected[0]
        return Trouble(False, now - began, error_text(error))

    @property
    def _away(self) -> list[Exception]:
        """The errors of the calls whose last try found no broker."""
        return [error for _, error in self._failing.values() if isinstance(error, OUTAGES)]

    def note_queues(self, asked: Iterable[str], error: PartlyUnavailable | None) -> None:
        """Log which of the queues that a call has asked cannot be reached, and which can be reached again."""
        now = self._clock.monotonic()
        away: Mapping[str, BrokerUnavailable] = error.away if error is not None else {}
        back = {queue: self.queues_away.pop(queue) for queue in asked if queue in self.queues_away.keys() - away}
        new = [queue for queue in away if queue not in self.queues_away]
        self.queues_away |= dict.fromkeys(new, now)
        if back:
            logger.warning(
                "queues %s can be reached again after %.1f s",
                ", ".join(back),
                now - min(back.values()),
                extra={"event": "queues_reachable"},
            )
            self._tell(WorkerEvent.OUTAGE_ENDED, queues=back, duration=now - min(back.values()))
        if new:
            text = error_text(PartlyUnavailable({queue: away[queue] for queue in new}))
            logger.error("%s", text, extra={"event": "queues_unreachable"})
            self._tell(WorkerEvent.OUTAGE_BEGAN, queues=new, reason=text)

    def note_whole_outage(self) -> None:
        """Note that a call on all queues has failed, so that the outage is logged as that of the broker."""
        self.queues_away.clear()
        if not self._announced:
            self._down_since = None

    def _note_failure(self, error: Exception) -> None:
        """Log a failed call, unless the outage or the rejection is known."""
        now = self._clock.monotonic()
        if isinstance(error, OUTAGES):
            # Heartbeat, claims and reports fail together in an outage: the first of them logs it for all.
            if self._down_since is None:
                self._down_since = now
                self._announced = not self.queues_away
                if self._announced:
                    logger.error(
                        "broker unavailable, retrying until it works again: %s",
                        _text(error),
                        extra={"event": "broker_unreachable"},
                    )
                    self._tell(WorkerEvent.OUTAGE_BEGAN, reason=_text(error))
            # The call that began first may be the last to be given up.
            self._down_since = min(self._down_since, now - _tried_for(error))
            return
        text = error_text(error)
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

    def _note_success(self, token: object) -> None:
        """Log the end of the outage if no other call finds the broker away: it may answer some calls and not others."""
        self._failing.pop(token, None)
        if self._down_since is not None and not self._away:
            if self._announced:
                duration = self._clock.monotonic() - self._down_since
                logger.warning("broker available again after %.1f s", duration, extra={"event": "broker_reachable"})
                self._tell(WorkerEvent.OUTAGE_ENDED, duration=duration)
            self._down_since = None

    def _tell(
        self, event: WorkerEvent, *, queues: Iterable[str] = (), duration: float | None = None, reason: str = ""
    ) -> None:
        if event in self._events.listeners:
            fact = WorkerFact(
                event=event, worker_id=self._worker_id, at=self._clock.time(), queues=tuple(queues), duration=duration,
                reason=reason,
            )  # fmt: skip
            self._events.fire(fact)


def _tried_for(error: Exception) -> float:
    return error.tried_for if isinstance(error, BrokerUnavailable) else 0.0


def _text(error: Exception) -> str:
    # Timeouts of asyncio have no text of their own.
    return "no answer in time" if isinstance(error, TimeoutError) and not str(error) else error_text(error)
