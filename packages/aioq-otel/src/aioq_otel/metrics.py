"""Counts and measures enqueues, runs, outcomes, ticks and workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from opentelemetry.metrics import Meter

from aioq import JobEvent, JobFact, TickEvent, TickFact, WorkerFact
from aioq.clock import SystemClock
from aioq.events import OUTCOMES
from aioq.instrumentation import Enqueue, Run, TickRun
from aioq_otel.attributes import (
    CRON,
    DESTINATION,
    ERROR_TYPE,
    OUTCOME,
    QUEUE,
    SYSTEM,
    TASK,
    error_type,
    of_enqueue,
    of_run,
)

__all__ = ["Metrics"]

CLOCK: Final = SystemClock()

CALL: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bounds of the buckets for calls of the broker, in seconds: those of the semantic conventions."""

SPAN_OF_TIME: Final = (*CALL, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Bounds for runs and waits, which may take long."""

ENDS: Final = OUTCOMES | {JobEvent.CANCELLED, JobEvent.LOST}


class Metrics:
    """Implements `aioq.instrumentation.Instrumentation` with metrics, and listens to the events of the app."""

    def __init__(self, meter: Meter) -> None:
        self._sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Jobs that a client tried to enqueue."
        )
        self._operations = meter.create_histogram(
            "messaging.client.operation.duration",
            "s",
            "Duration of the calls that enqueue jobs.",
            explicit_bucket_boundaries_advisory=CALL,
        )
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Runs of jobs that a worker began."
        )
        self._runs = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "Duration of runs of jobs.",
            explicit_bucket_boundaries_advisory=SPAN_OF_TIME,
        )
        self._waits = meter.create_histogram(
            "aioq.job.wait",
            "s",
            "Time from the moment at which a job was due to its claim.",
            explicit_bucket_boundaries_advisory=SPAN_OF_TIME,
        )
        self._outcomes = meter.create_counter(
            "aioq.job.outcomes", "{job}", "Outcomes of jobs, as the broker has accepted them."
        )
        self._ticks = meter.create_counter("aioq.cron.ticks", "{tick}", "What happened to ticks.")
        self._late = meter.create_histogram(
            "aioq.cron.late",
            "s",
            "Time from a tick to its firing.",
            explicit_bucket_boundaries_advisory=SPAN_OF_TIME,
        )
        self._calls = meter.create_histogram(
            "aioq.cron.duration",
            "s",
            "Duration of calls of crons.",
            explicit_bucket_boundaries_advisory=SPAN_OF_TIME,
        )
        self._workers = meter.create_counter(
            "aioq.worker.events", "{event}", "Starts, stops, stuck slots and outages of workers."
        )

    @contextmanager
    def enqueueing(self, enqueue: Enqueue) -> Generator[None]:
        """Count the jobs of the call, and measure it."""
        began = CLOCK.monotonic()
        common = of_enqueue(enqueue.jobs)
        try:
            yield
        except BaseException as error:
            common[ERROR_TYPE] = error_type(error)
            raise
        finally:
            self._operations.record(CLOCK.monotonic() - began, common)
            for (queue, task), count in Counter((job.queue, job.task) for job in enqueue.jobs).items():
                self._sent.add(count, common | {DESTINATION: queue, TASK: task})

    @contextmanager
    def running(self, run: Run) -> Generator[None]:
        """Count the run, and measure how long its job waited and how long it takes."""
        began = CLOCK.monotonic()
        common = of_run(run.lease)
        self._consumed.add(1, dict(common))
        self._waits.record(run.lease.wait, dict(common))
        try:
            yield
        finally:
            if run.outcome is not None:
                common[OUTCOME] = run.outcome.value.removeprefix("job_")
            if run.error is not None:
                common[ERROR_TYPE] = error_type(run.error)
            self._runs.record(CLOCK.monotonic() - began, common)

    @contextmanager
    def ticking(self, tick: TickRun) -> Generator[None]:
        """Measure the call of a cron."""
        began = CLOCK.monotonic()
        try:
            yield
        finally:
            failed = {ERROR_TYPE: error_type(tick.error)} if tick.error else {}
            self._calls.record(CLOCK.monotonic() - began, {CRON: tick.name, QUEUE: tick.queue, **failed})

    def on_job(self, fact: JobFact) -> None:
        """Count the outcome of a job."""
        if fact.event in ENDS:
            outcome = fact.event.value.removeprefix("job_")
            self._outcomes.add(1, {**SYSTEM, DESTINATION: fact.queue, TASK: fact.task, OUTCOME: outcome})

    def on_tick(self, fact: TickFact) -> None:
        """Count what happened to a tick, and measure how late it fired."""
        entry = {CRON: fact.name, QUEUE: fact.queue}
        self._ticks.add(fact.count, {**entry, OUTCOME: fact.event.value.removeprefix("tick_")})
        if fact.event is TickEvent.FIRED and fact.late is not None:
            self._late.record(fact.late, entry)

    def on_worker(self, fact: WorkerFact) -> None:
        """Count an event of a worker."""
        self._workers.add(1, {OUTCOME: fact.event.value})
