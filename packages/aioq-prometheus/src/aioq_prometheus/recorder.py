"""Counts and measures the events of an app in this process."""

from __future__ import annotations

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from aioq import Aarq, JobEvent, JobFact, TickEvent, TickFact, WorkerEvent, WorkerFact
from aioq.events import OUTCOMES
from aioq.model.statistics import BUCKETS
from aioq.model.workers import WorkerInfo
from aioq_prometheus.labels import LabelPairs
from aioq_prometheus.runs import RunSeries

__all__ = ["Recorder"]

JOB: Final = ("queue", "task")
CRON: Final = ("queue", "cron")
EXPECTED: Final = (JobEvent.COMPLETED, JobEvent.FAILED, JobEvent.DEAD)
"""Outcomes that are counted from 0 for each task that a worker may run."""


class Recorder:
    """Has the metrics of the events of an app. Listeners are called in the event loop, `flush` from any thread."""

    def __init__(self, app: Aarq, registry: CollectorRegistry) -> None:
        self._tasks = app.tasks
        self._pairs = LabelPairs(app.tasks)
        self._entries = LabelPairs()
        self._runs: dict[tuple[str, str, JobEvent], RunSeries] = {}
        self._workers: dict[str, WorkerInfo] = {}
        self._down: set[str] = set()
        self._queues_away: dict[str, set[str]] = {}
        self._enqueued = Counter("aioq_jobs_enqueued", "Jobs that this process has enqueued.", JOB, registry=registry)
        self._jobs = Counter(
            "aioq_jobs", "Outcomes of jobs that the broker has accepted.", (*JOB, "outcome"), registry=registry
        )
        self._waits = _histogram(
            "aioq_job_wait_seconds", "Time from the moment at which a job was due to its claim.", JOB, registry
        )
        self._durations = _histogram("aioq_job_duration_seconds", "Time that a run took.", (*JOB, "outcome"), registry)
        self._ticks = Counter("aioq_cron_ticks", "What happened to ticks.", (*CRON, "outcome"), registry=registry)
        self._late = _histogram("aioq_cron_lateness_seconds", "Time from a tick to its firing.", CRON, registry)
        self._calls = _histogram("aioq_cron_duration_seconds", "Time that a call of a cron took.", CRON, registry)
        self._slots = _gauge("aioq_worker_slots", "Slots of the workers of this process.", registry)
        self._busy = _gauge("aioq_worker_busy_slots", "Slots in which a job runs.", registry)
        self._stuck = _gauge("aioq_worker_stuck_slots", "Slots whose task ignores its interruption.", registry)
        self._became_stuck = Counter("aioq_worker_slots_stuck", "Slots that got stuck.", registry=registry)
        self._lag = _gauge(
            "aioq_worker_loop_lag_seconds",
            "Longest time without an answer of the event loop since the heartbeat before.",
            registry,
            mode="livemax",
        )
        self._memory = _gauge("aioq_worker_memory_bytes", "Resident memory of the process.", registry)
        self._outages = Counter(
            "aioq_broker_outages", "Outages that workers of this process noticed.", ("scope",), registry=registry
        )
        self._outage_seconds = Counter(
            "aioq_broker_outage_seconds", "Time of outages that have ended.", ("scope",), registry=registry
        )
        self._workers_cut_off = _gauge(
            "aioq_broker_workers_cut_off", "Workers of this process that the broker does not answer.", registry
        )
        self._away = _gauge(
            "aioq_broker_queues_away",
            "Queues that cannot be reached while others can.",
            registry,
            mode="livemax",
        )

    def listen(self, app: Aarq) -> None:
        """Listen to the events of an app."""
        for event in (*OUTCOMES, JobEvent.LOST):
            app.on(event, self._on_run)
        app.on(JobEvent.ENQUEUED, self._on_enqueued)
        app.on(JobEvent.CANCELLED, self._on_cancelled)
        app.on(TickEvent, self._on_tick)
        app.on(WorkerEvent.STARTED, self._on_start)
        app.on(WorkerEvent.REPORTED, self._on_report)
        app.on(WorkerEvent.STOPPED, self._on_stop)
        app.on(WorkerEvent.STUCK, self._on_stuck)
        app.on(WorkerEvent.OUTAGE_BEGAN, self._on_outage)
        app.on(WorkerEvent.OUTAGE_ENDED, self._on_outage_end)

    def flush(self) -> None:
        """Put the runs that were collected into their metrics."""
        for series in list(self._runs.values()):
            series.flush()

    def _on_enqueued(self, fact: JobFact) -> None:
        self._enqueued.labels(*self._pairs.of(fact.queue, fact.task)).inc()

    def _on_run(self, fact: JobFact) -> None:
        series = self._runs.get((fact.queue, fact.task, fact.event))
        if series is None:
            series = self._series(*self._pairs.of(fact.queue, fact.task), fact.event)
        series.add(fact.wait, fact.duration)

    def _on_cancelled(self, fact: JobFact) -> None:
        if fact.worker_id:
            self._on_run(fact)
        else:
            self._jobs.labels(*self._pairs.of(fact.queue, fact.task), _outcome(fact.event)).inc()

    def _series(self, queue: str, task: str, event: JobEvent) -> RunSeries:
        known = self._runs.get((queue, task, event))
        if known is None:
            labels = queue, task, _outcome(event)
            # The client counts a job that it has cancelled.
            jobs = None if event is JobEvent.CANCELLED else self._jobs.labels(*labels)
            known = RunSeries(jobs, self._waits.labels(queue, task), self._durations.labels(*labels))
            self._runs[queue, task, event] = known
        return known

    def _on_tick(self, fact: TickFact) -> None:
        entry = self._entries.of(fact.queue, fact.name)
        self._ticks.labels(*entry, fact.event.value.removeprefix("tick_")).inc(fact.count)
        if fact.event is TickEvent.FIRED and fact.late is not None:
            self._late.labels(*entry).observe(fact.late)
        if fact.duration is not None:
            self._calls.labels(*entry).observe(fact.duration)

    def _on_start(self, fact: WorkerFact) -> None:
        # A rate needs two values: the first failure of a task would be missed if its counter began with it.
        for task in self._tasks:
            if task.defaults.queue in fact.queues:
                labels = self._pairs.of(task.defaults.queue, task.name)
                for outcome in EXPECTED:
                    self._jobs.labels(*labels, _outcome(outcome))

    def _on_report(self, fact: WorkerFact) -> None:
        if fact.info is not None:
            self._workers[fact.worker_id] = fact.info
            self._show_workers()
        # In a process that others read, as with `--processes`, no request flushes.
        self.flush()

    def _on_stop(self, fact: WorkerFact) -> None:
        self._workers.pop(fact.worker_id, None)
        self._down.discard(fact.worker_id)
        self._queues_away.pop(fact.worker_id, None)
        self._show_workers()
        self._show_outages()
        self.flush()

    def _show_workers(self) -> None:
        workers = self._workers.values()
        self._slots.set(sum(worker.concurrency for worker in workers))
        self._busy.set(sum(worker.running for worker in workers))
        self._stuck.set(sum(worker.stuck for worker in workers))
        self._lag.set(max((worker.loop_lag or 0.0 for worker in workers), default=0.0))
        # Workers of one process share its memory.
        self._memory.set(max((worker.memory or 0 for worker in workers), default=0))

    def _on_stuck(self, _: WorkerFact) -> None:
        self._became_stuck.inc()

    def _on_outage(self, fact: WorkerFact) -> None:
        self._outages.labels(_scope(fact)).inc()
        if fact.queues:
            self._queues_away.setdefault(fact.worker_id, set()).update(fact.queues)
        else:
            self._queues_away.pop(fact.worker_id, None)
            self._down.add(fact.worker_id)
        self._show_outages()

    def _on_outage_end(self, fact: WorkerFact) -> None:
        self._outage_seconds.labels(_scope(fact)).inc(fact.duration or 0.0)
        if fact.queues:
            self._queues_away.get(fact.worker_id, set()).difference_update(fact.queues)
        else:
            self._down.discard(fact.worker_id)
        self._show_outages()

    def _show_outages(self) -> None:
        self._workers_cut_off.set(len(self._down))
        self._away.set(len(set[str]().union(*self._queues_away.values())))


def _histogram(name: str, text: str, labels: tuple[str, ...], registry: CollectorRegistry) -> Histogram:
    return Histogram(name, text, labels, registry=registry, buckets=BUCKETS)


def _gauge(
    name: str, text: str, registry: CollectorRegistry, *, mode: Literal["livesum", "livemax"] = "livesum"
) -> Gauge:
    """Return a gauge; `mode` says what is shown of the processes that `aioq worker --processes` runs."""
    return Gauge(name, text, registry=registry, multiprocess_mode=mode)


def _outcome(event: JobEvent) -> str:
    return event.value.removeprefix("job_")


def _scope(fact: WorkerFact) -> str:
    return "queues" if fact.queues else "broker"
