"""Sums up what a worker has done: in the log, each minute in which something happened and at its end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Final

from aioq.clock import Clock
from aioq.events import Event, Events, JobEvent, JobFact, TickEvent, TickFact
from aioq.worker.log import logger
from aioq.worker.workload import Slots

__all__ = ["Summary"]

MINUTE: Final = 60.0

HEARD: Final = (JobEvent.CANCELLED, TickEvent.FIRED)
"""Events that the summary counts itself. The settler counts the outcomes of jobs, without a fact for each."""

NAMES: Final[Mapping[Event, str]] = {
    JobEvent.COMPLETED: "completed",
    JobEvent.RETRIED: "retried",
    JobEvent.FAILED: "failed",
    JobEvent.EXPIRED: "expired",
    JobEvent.DEAD: "dead",
    JobEvent.CANCELLED: "cancelled",
    TickEvent.FIRED: "ticks fired",
}
"""How a summary names its counts, in the order in which it has them. Released jobs have not ended, and a job that waits
for an earlier one is released each second."""


class Summary:
    """Counts the jobs and ticks of one worker, and logs the counts.

    Args:
        events: The events of the app. Other workers of this process have theirs there, too.
        worker_id: The worker.
        outcomes: The outcomes that the broker has accepted, as the settler counts them.
        slots: The slots of the worker.
    """

    def __init__(
        self, events: Events, worker_id: str, outcomes: Counter[JobEvent], *, slots: Slots, clock: Clock
    ) -> None:
        self._events = events
        self._worker_id = worker_id
        self._outcomes = outcomes
        self._slots = slots
        self._clock = clock
        self._heard: Counter[Event] = Counter()
        self._began = clock.monotonic()
        self.each_minute = True
        """Whether minutes are summed up in the log; set it to False if a person sees the counts in another way."""

    @property
    def running(self) -> int:
        """The number of jobs that run now."""
        return self._slots.taken

    def counts(self) -> Counter[Event]:
        """Return how many jobs had each outcome or were cancelled, and how many ticks were fired, since the start."""
        both = self._heard + self._outcomes
        return Counter({event: both[event] for event in NAMES if both[event]})

    def open(self) -> None:
        """Count from now on."""
        self._began = self._clock.monotonic()
        for event in HEARD:
            self._events.add(event, self._hear)

    def close(self) -> None:
        """Count no more."""
        for event in HEARD:
            self._events.remove(event, self._hear)

    async def run(self) -> None:
        """Log each minute in which a job ended or a tick was fired, until cancelled."""
        before, began = self.counts(), self._began
        while True:
            await self._clock.sleep(MINUTE)
            now, counts = self._clock.monotonic(), self.counts()
            if self.each_minute and (new := counts - before):
                self._log(new, now - began, final=False)
            before, began = counts, now

    def log_end(self) -> None:
        """Log all that the worker has done."""
        self._log(self.counts(), self._clock.monotonic() - self._began, final=True)

    def _hear(self, fact: JobFact | TickFact) -> None:
        if fact.worker_id == self._worker_id:
            self._heard[fact.event] += fact.count if isinstance(fact, TickFact) else 1

    def _log(self, counts: Counter[Event], seconds: float, *, final: bool) -> None:
        if not logger.isEnabledFor(logging.INFO):
            return
        named = {name: counts[event] for event, name in NAMES.items() if counts[event]}
        logger.info(
            "summary of %.3f s: %s; %d running",
            seconds, ", ".join(f"{count} {name}" for name, count in named.items()) or "no job ended", self.running,
            extra={
                "event": "worker_summary", "worker_id": self._worker_id,
                "counts": named, "running": self.running, "duration": seconds, "final": final,
            },
        )  # fmt: skip
