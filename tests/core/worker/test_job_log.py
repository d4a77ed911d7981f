"""The log has a line for each job, or for a second of many jobs; failures stand in it in full."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import anyio
import pytest

from aioq import Aarq, JobEvent, JobFact, Retry
from aioq.events import Events
from aioq.model.job import Failure
from aioq.testing import VirtualClock
from aioq.worker.job_log import JobLog, LogJobs, check_log_jobs
from tests.core.rig import drain

FAILURE = Failure("ValueError", "no disk", "Traceback: no disk", "app:work")


def fact(event: JobEvent = JobEvent.COMPLETED, *, worker_id: str = "w", **more: Any) -> JobFact:
    """Return a fact of a run."""
    return JobFact(
        event=event, job_id="a", queue="q", task="t", at=0.0, worker_id=worker_id, wait=0.25, duration=2.0, **more
    )


class Settled:
    """The events and the outcomes of a worker, as its settler causes them."""

    def __init__(self) -> None:
        self.events = Events()
        self.outcomes: Counter[JobEvent] = Counter()

    def complete(self, number: int) -> None:
        """Let jobs complete. There is a fact only if it has a listener."""
        for _ in range(number):
            if JobEvent.COMPLETED in self.events.listeners:
                self.events.fire(fact())
            self.outcomes[JobEvent.COMPLETED] += 1

    def open_log(self, clock: VirtualClock, mode: LogJobs = "auto") -> JobLog:
        """Return a log that listens."""
        log = JobLog(self.events, "w", self.outcomes, clock=clock, mode=mode)
        log.open()
        return log


@pytest.fixture
def settled() -> Settled:
    """A worker that has settled nothing."""
    return Settled()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the worker has logged."""
    return [record.getMessage() for record in caplog.records if record.name == "aioq.worker"]


@pytest.mark.parametrize(
    ("event", "more", "line"),
    [
        (JobEvent.COMPLETED, {}, "job a of t completed in 2.000 s; it waited 0.250 s"),
        (
            JobEvent.RETRIED, {"attempt": 2, "delay": 5.0, "failure": FAILURE},
            "job a of t: attempt 2 failed, next in 5 s: ValueError: no disk",
        ),
        (JobEvent.FAILED, {"failure": FAILURE, "error": ValueError("no disk")}, "job a of t failed: ValueError: no disk"),
        (JobEvent.FAILED, {"failure": FAILURE}, "job a of t failed: ValueError: no disk"),
        (JobEvent.EXPIRED, {"failure": FAILURE}, "job a of t expired: no disk"),
        (JobEvent.DEAD, {"reason": "malformed", "failure": FAILURE}, "job a of t is dead: malformed: ValueError: no disk"),
        (JobEvent.CANCELLED, {}, "job a of t was cancelled, after 2.000 s"),
        (JobEvent.RELEASED, {}, "job a of t was released and will run again"),
        (
            JobEvent.RELEASED, {"delay": 10.0, "failure": FAILURE},
            "job a of t was handed back, due again in 10 s for a worker that can run it: ValueError: no disk",
        ),
    ],
)  # fmt: skip
async def test_line_of_event(
    caplog: pytest.LogCaptureFixture,
    clock: VirtualClock,
    settled: Settled,
    event: JobEvent,
    more: dict[str, Any],
    line: str,
) -> None:
    """Each end of a run has its line, with all ids and both times as attributes."""
    caplog.set_level(logging.INFO)
    settled.open_log(clock)
    settled.events.fire(fact(event, **more))
    assert lines(caplog) == [line]
    seen = vars(caplog.records[0])
    assert (seen["job_id"], seen["task"], seen["queue"], seen["worker_id"]) == ("a", "t", "q", "w")
    assert (seen["wait"], seen["duration"]) == (0.25, 2.0)


async def test_failure_has_its_exception_and_a_constant_template(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """Programs that read the log get the exception itself, and the same template for each failure."""

    @app.task(name="t")
    async def work(_: object, n: int) -> None:
        raise ValueError(f"no {n}")

    for n in range(2):
        await work.enqueue(n)
    await drain(app)
    failed = [record for record in caplog.records if getattr(record, "event", "") == "job_failed"]
    assert {str(record.exc_info[1]) for record in failed if record.exc_info} == {"no 0", "no 1"}
    assert len({record.msg for record in failed}) == 1
    assert all("raise ValueError" in (record.exc_text or "") for record in failed)


async def test_text_of_huge_exception_is_bounded(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """The text of an exception of megabytes is cut in the log, as it is in the record of the job."""

    @app.task(name="t")
    async def work(_: object) -> None:
        raise ValueError("x" * 3_000_000)

    await work.enqueue()
    await drain(app)
    assert len(caplog.text) < 30_000


async def test_retry_has_no_traceback(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """An attempt that is followed by another one is one line."""

    @app.task(name="t", retries=1)
    async def work(_: object) -> None:
        raise Retry("not yet", delay=0)

    await work.enqueue()
    await drain(app)
    (retried,) = [record for record in caplog.records if getattr(record, "event", "") == "job_retried"]
    assert retried.exc_info is None
    assert retried.levelno == logging.WARNING


async def test_auto_with_many_jobs_logs_one_line_a_second(
    caplog: pytest.LogCaptureFixture, clock: VirtualClock, settled: Settled
) -> None:
    """After 100 jobs in a second the others are one line; failures stay in full; quiet seconds have lines again."""
    caplog.set_level(logging.INFO)
    log = settled.open_log(clock)
    async with anyio.create_task_group() as tg:
        tg.start_soon(log.run)
        settled.complete(997)
        assert JobEvent.COMPLETED not in settled.events.listeners  # so that the others cost no facts
        for _ in range(3):
            settled.events.fire(fact(JobEvent.FAILED, failure=FAILURE))
        await clock.advance(1)
        seen = lines(caplog)
        assert len(seen) == 100 + 3 + 1
        assert seen[-1] == "1000 jobs ended in a second: 997 completed, 3 failed; 897 of them are not logged alone"
        caplog.clear()
        settled.complete(500)
        await clock.advance(1)
        assert lines(caplog) == ["500 jobs ended in a second: 500 completed; 500 of them are not logged alone"]
        await clock.advance(1)
        caplog.clear()
        settled.complete(1)
        assert lines(caplog) == ["job a of t completed in 2.000 s; it waited 0.250 s"]
        tg.cancel_scope.cancel()


async def test_auto_bounds_failures_and_close_logs_the_rest(
    caplog: pytest.LogCaptureFixture, clock: VirtualClock, settled: Settled
) -> None:
    """Of many failures in a second 100 stand in full, and the end of the worker logs what was counted."""
    caplog.set_level(logging.INFO)
    log = settled.open_log(clock)
    for _ in range(150):
        settled.events.fire(fact(JobEvent.FAILED, failure=FAILURE))
    log.close()
    assert len(lines(caplog)) == 101
    assert lines(caplog)[-1].startswith("150 jobs ended in a second: 150 failed; 50 of them")
    settled.complete(1)
    assert len(lines(caplog)) == 101


@pytest.mark.parametrize(
    ("mode", "logged"), [("all", 201 + 1), ("failed", 1), ("none", 0)], ids=["all", "failed", "none"]
)
def test_mode_chooses_lines(
    caplog: pytest.LogCaptureFixture, clock: VirtualClock, settled: Settled, mode: LogJobs, logged: int
) -> None:
    """`all` logs each of many jobs, `failed` only those that did not complete, `none` nothing."""
    caplog.set_level(logging.INFO)
    log = settled.open_log(clock, mode)
    settled.complete(201)
    settled.events.fire(fact(JobEvent.DEAD, reason="malformed"))
    log.close()
    assert len(lines(caplog)) == logged


def test_jobs_of_other_workers_are_not_logged(
    caplog: pytest.LogCaptureFixture, clock: VirtualClock, settled: Settled
) -> None:
    """Of two workers of one app in a process, each logs its own jobs."""
    caplog.set_level(logging.INFO)
    settled.open_log(clock)
    settled.events.fire(fact(worker_id="other"))
    assert lines(caplog) == []


def test_completed_jobs_are_not_heard_if_the_logger_drops_them(clock: VirtualClock, settled: Settled) -> None:
    """With a logger at the level warning, completed jobs cost no fact."""
    logging.getLogger("aioq.worker").setLevel(logging.WARNING)
    try:
        settled.open_log(clock)
    finally:
        logging.getLogger("aioq.worker").setLevel(logging.NOTSET)
    assert JobEvent.COMPLETED not in settled.events.listeners
    assert JobEvent.FAILED in settled.events.listeners


def test_unknown_mode_names_the_choices() -> None:
    """A mode that there is not is refused, with those that there are."""
    with pytest.raises(ValueError, match="one of auto, all, failed, none, got 'some'"):
        check_log_jobs("some")
