"""Logs how jobs end: a line for each, or one for all jobs of a second if these are many.

While they are many, the log does not listen to completions, and reads their number from the settler: a fact for each
would cost a busy worker a sixth of its processor time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

import anyio

from aioq.clock import Clock
from aioq.events import Events, JobEvent, JobFact
from aioq.serialization.failure import one_line
from aioq.worker.log import log_failure, logger, shown

__all__ = ["JobLog", "LogJobs", "check_log_jobs"]

LogJobs: TypeAlias = Literal["auto", "all", "failed", "none"]
"""Which ends of jobs are logged one by one: all of them, but no more than 100 in a second; all; those that are no
success; none."""

LINES_PER_SECOND: Final = 100
"""With `auto`, lines in a second: of successes, and as many of failures. The other jobs are counted in one line."""

FAILURES: Final = (JobEvent.RETRIED, JobEvent.FAILED, JobEvent.EXPIRED, JobEvent.DEAD)

LOGGED: Final = (JobEvent.COMPLETED, *FAILURES, JobEvent.RELEASED, JobEvent.CANCELLED)

SECOND: Final = 1.0


def check_log_jobs(mode: str) -> LogJobs:
    """Return a choice of lines.

    Raises:
        ValueError: There is no such choice.
    """
    for choice in get_args(LogJobs):
        if mode == choice:
            return mode  # type: ignore[return-value]  # it is one of them
    raise ValueError(f"log_jobs must be one of {', '.join(get_args(LogJobs))}, got {mode!r}")


class JobLog:
    """Listens to the ends of the jobs of one worker, and logs them.

    Args:
        events: The events of the app. Other workers of this process have theirs there, too.
        worker_id: The worker.
        outcomes: The outcomes that the broker has accepted, as the settler counts them.
        mode: Which jobs get lines of their own.
    """

    def __init__(
        self, events: Events, worker_id: str, outcomes: Counter[JobEvent], *, clock: Clock, mode: LogJobs
    ) -> None:
        self._events = events
        self._worker_id = worker_id
        self._outcomes = outcomes
        self._clock = clock
        self._mode = mode
        self._heard: tuple[JobEvent, ...] = ()
        self._began = anyio.Event()
        self._ended: Counter[JobEvent] = Counter()
        """The jobs of this second; completed ones only as long as the log listens to them."""
        self._lines = 0
        """How many of them have got lines of their own."""
        self._muted = False
        """Whether the log does not listen to completions, because there are too many."""
        self._completed = 0
        """The completions that the settler had counted when this second began."""

    def open(self) -> None:
        """Listen from now on. Successes are not heard if the logger drops them, so that they cost nothing."""
        match self._mode:
            case "none":
                self._heard = ()
            case "failed":
                self._heard = FAILURES
            case _:
                self._heard = LOGGED if logger.isEnabledFor(logging.INFO) else LOGGED[1:]
        for event in self._heard:
            self._events.add(event, self._hear)
        self._completed = self._outcomes[JobEvent.COMPLETED]

    def close(self) -> None:
        """Log what was counted last, and listen no more."""
        self._flush()
        for event in self._heard:
            self._events.remove(event, self._hear)

    async def run(self) -> None:
        """Log the jobs of each second that got no line, until cancelled."""
        while True:
            if not self._muted:
                await self._began.wait()
            await self._clock.sleep(SECOND)
            self._flush()

    def _hear(self, fact: JobFact) -> None:
        if fact.worker_id != self._worker_id:
            return
        if self._mode != "auto":
            _log(fact)
            return
        if not self._ended:
            self._began.set()
        self._ended[fact.event] += 1
        if self._has_room(fact.event):
            self._lines += 1
            _log(fact)
        elif fact.event is JobEvent.COMPLETED:
            self._mute()

    def _has_room(self, event: JobEvent) -> bool:
        if event in FAILURES:
            return sum(self._ended[failure] for failure in FAILURES) <= LINES_PER_SECOND
        return not self._muted and self._ended[event] <= LINES_PER_SECOND

    def _mute(self) -> None:
        """Listen to completions no more, until a second has few jobs again."""
        self._muted = True
        self._events.remove(JobEvent.COMPLETED, self._hear)

    def _flush(self) -> None:
        """Log the jobs of this second, and begin the next one."""
        completed = self._outcomes[JobEvent.COMPLETED]
        if JobEvent.COMPLETED in self._heard:
            self._ended[JobEvent.COMPLETED] = completed - self._completed
        self._completed = completed
        if self._mode == "auto" and self._ended.total() > self._lines:
            _log_second(self._ended, self._ended.total() - self._lines)
        if self._muted and self._ended.total() <= LINES_PER_SECOND:
            self._muted = False
            self._events.add(JobEvent.COMPLETED, self._hear)
        self._ended.clear()
        self._lines = 0
        self._began = anyio.Event()


def _log_second(ended: Counter[JobEvent], left_out: int) -> None:
    counts = {event.removeprefix("job_"): ended[event] for event in LOGGED if ended[event]}
    logger.info(
        "%d jobs ended in a second: %s; %d of them are not logged alone",
        ended.total(), ", ".join(f"{count} {name}" for name, count in counts.items()), left_out,
        extra={"event": "jobs_ended", "counts": counts},
    )  # fmt: skip


def _log(fact: JobFact) -> None:
    level, template, args = _line(fact)
    args = (shown(fact.job_id), shown(fact.task), *args)
    if fact.event is JobEvent.FAILED and fact.failure is not None and fact.error is not None:
        log_failure(template, *args, error=fact.error, text=fact.failure.traceback, extra=_extra_of_event(fact))
    else:
        logger.log(level, template, *args, extra=_extra_of_event(fact))


def _line(fact: JobFact) -> tuple[int, str, Sequence[object]]:
    """Return the level of a line, its template, and what follows the job and the task in it."""
    match fact.event:
        case JobEvent.COMPLETED:
            return logging.INFO, "job %s of %s completed in %.3f s; it waited %.3f s", (fact.duration or 0.0, fact.wait)
        case JobEvent.RETRIED:
            text = "job %s of %s: attempt %d failed, next in %.3g s%s"
            return logging.WARNING, text, (fact.attempt, fact.delay, _why(fact))
        case JobEvent.FAILED:
            return logging.ERROR, "job %s of %s failed%s", (_why(fact),)
        case JobEvent.EXPIRED:
            return (
                logging.WARNING,
                "job %s of %s expired: %s",
                (one_line(fact.failure.message) if fact.failure else "",),
            )
        case JobEvent.DEAD:
            return logging.ERROR, "job %s of %s is dead: %s%s", (fact.reason, _why(fact))
        case JobEvent.CANCELLED:
            return logging.INFO, "job %s of %s was cancelled, after %.3f s", (fact.duration or 0.0,)
        case _ if fact.failure is not None:
            text = "job %s of %s was handed back, due again in %.3g s for a worker that can run it%s"
            return logging.WARNING, text, (fact.delay, _why(fact))
        case _:
            # A job that waits for an earlier one of its schedule is released once a second.
            level = logging.DEBUG if fact.delay else logging.INFO
            return level, "job %s of %s was released and will run again", ()


def _why(fact: JobFact) -> str:
    return one_line(f": {fact.failure.type}: {fact.failure.message}") if fact.failure else ""


def _extra_of_event(fact: JobFact) -> dict[str, Any]:
    """Return the attributes of the record: the ids of the run, and its times."""
    handed_back = fact.event is JobEvent.RELEASED and fact.failure is not None
    return {
        "event": "job_handed_back" if handed_back else fact.event.value,
        "job_id": fact.job_id,
        "task": fact.task,
        "queue": fact.queue,
        "attempt": fact.attempt,
        "epoch": fact.epoch,
        "worker_id": fact.worker_id,
        "wait": fact.wait,
        "duration": fact.duration,
    }
