"""Shows what the broker knows as metrics. Each process of an app shows the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from aioq import Aarq
from aioq.model.cron import CronStatus
from aioq.model.job import QueueStats
from aioq.model.stops import Stop
from aioq.model.workers import WorkerInfo
from aioq_prometheus.broker_facts import MAX_ENTRIES, BrokerFacts, Facts
from aioq_prometheus.labels import OTHER

__all__ = ["BrokerCollector"]

STATES: Final = ("pending", "scheduled", "running", "dead", "expired")
"""The counts of a queue by state, as named in `QueueStats`."""


class BrokerCollector(Collector):
    """Yields the latest facts of the broker. `BrokerFacts.refresh` asks for them: a collector cannot wait.

    Args:
        before: Called before each collection.
    """

    def __init__(self, app: Aarq, facts: BrokerFacts, before: Callable[[], None]) -> None:
        self._app = app
        self._facts = facts
        self._before = before

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without samples, so that a registry finds names that are taken."""
        return [
            _info({}),
            _up(None),
            *_of_queues({}, ()),
            _latencies({}),
            *_of_stops((), ()),
            *_of_workers(()),
            _queue_workers((), ()),
            *_of_crons(()),
            _overdue(Facts(now=0.0)),
        ]

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        self._before()
        yield _info({"app": self._app.name, "version": version("aioq-core")})
        answered, facts = self._facts.answered, self._facts.latest
        yield _up(answered)
        if facts is None:
            return
        queues = list(facts.queues or ())
        if facts.queues is not None:
            yield from _of_queues(facts.queues, facts.others)
            yield _latencies(facts.latencies)
        if facts.stops is not None:
            yield from _of_stops(queues or self._app.queues, facts.stops)
        if facts.workers is not None:
            yield from _of_workers(facts.workers)
            yield _queue_workers(sorted({*queues, *self._app.queues}), facts.workers)
        if facts.crons is not None:
            yield from _of_crons(facts.crons)
            yield _overdue(facts)


def _info(value: Mapping[str, str]) -> Metric:
    return InfoMetricFamily("aioq", "The app and the release of aioq-core.", dict(value) or None)


def _up(answered: bool | None) -> Metric:
    family = GaugeMetricFamily("aioq_broker_up", "Whether the broker has answered the questions for these metrics.")
    if answered is not None:
        family.add_metric([], float(answered))
    return family


def _of_queues(queues: Mapping[str, QueueStats], others: Sequence[QueueStats]) -> Iterable[Metric]:
    jobs = GaugeMetricFamily("aioq_queue_jobs", "Jobs of a queue by state.", labels=["queue", "state"])
    failures = GaugeMetricFamily("aioq_queue_failures", "Failures that wait for a person.", labels=["queue"])
    for queue, stats in [*((queue, [one]) for queue, one in queues.items()), *([(OTHER, others)] if others else [])]:
        for state in STATES:
            jobs.add_metric([queue, state], sum(getattr(one, state) for one in stats))
        failures.add_metric([queue], sum(one.failures for one in stats))
    return jobs, failures


def _latencies(latencies: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(
        "aioq_queue_latency_seconds", "Time for which the job that runs next has been due.", labels=["queue"]
    )
    for queue, seconds in latencies.items():
        family.add_metric([queue], seconds)
    return family


def _of_stops(queues: Iterable[str], stops: Sequence[Stop]) -> Iterable[Metric]:
    paused = GaugeMetricFamily("aioq_queue_paused", "Whether a person has paused the queue.", labels=["queue"])
    stopped = GaugeMetricFamily("aioq_queue_stopped_tasks", "Tasks that a person has stopped.", labels=["queue"])
    for queue in queues:
        tasks = [stop.task for stop in stops if stop.queue == queue]
        paused.add_metric([queue], float(None in tasks))
        stopped.add_metric([queue], sum(task is not None for task in tasks))
    return paused, stopped


def _of_workers(workers: Sequence[WorkerInfo]) -> Iterable[Metric]:
    for name, text, value in (
        ("aioq_fleet_workers", "Workers of the app that are up.", len(workers)),
        ("aioq_fleet_slots", "Slots of all workers.", sum(worker.concurrency for worker in workers)),
        ("aioq_fleet_busy_slots", "Slots in which a job runs.", sum(worker.running for worker in workers)),
        ("aioq_fleet_stuck_slots", "Slots whose task ignores its interruption.", sum(one.stuck for one in workers)),
    ):
        yield GaugeMetricFamily(name, text, value)


def _queue_workers(queues: Iterable[str], workers: Sequence[WorkerInfo]) -> Metric:
    family = GaugeMetricFamily("aioq_queue_workers", "Workers that consume the queue.", labels=["queue"])
    for queue in queues:
        family.add_metric([queue], sum(queue in worker.queues for worker in workers))
    return family


def _of_crons(statuses: Sequence[CronStatus]) -> Iterable[Metric]:
    entries = GaugeMetricFamily("aioq_cron_entries", "Registered entries by state.", labels=["state"])
    success = GaugeMetricFamily(
        "aioq_cron_last_success_timestamp_seconds", "The latest tick whose run ended well.", labels=["queue", "cron"]
    )
    states = [_state(status) for status in statuses]
    for state in ("active", "paused", "disabled"):
        entries.add_metric([state], states.count(state))
    for status in statuses[:MAX_ENTRIES]:
        if status.last_success is not None:
            success.add_metric([status.definition.queue, status.definition.name], status.last_success)
    return entries, success


def _state(status: CronStatus) -> str:
    if not status.definition.enabled:
        return "disabled"
    return "paused" if status.pause else "active"


def _overdue(facts: Facts) -> Metric:
    family = GaugeMetricFamily(
        "aioq_cron_overdue_seconds",
        "Time since the oldest tick of an entry of the code that should have a record and has none.",
        labels=["queue", "cron"],
    )
    for key, seconds in facts.overdue.items():
        family.add_metric([key.queue, key.name], seconds)
    return family
