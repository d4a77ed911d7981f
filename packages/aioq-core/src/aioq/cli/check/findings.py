"""Decides what is wrong with an app, from what its broker knows at one time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from aioq.cli.exit_codes import Exit
from aioq.cli.times import format_duration, format_time
from aioq.clock import stored_time
from aioq.cron.overview import EntryOverview
from aioq.cron.zones import zone_named
from aioq.errors import BrokerUnavailable
from aioq.model.job import JobRecord, QueueStats
from aioq.model.stops import Stop
from aioq.model.workers import WorkerInfo

__all__ = ["Finding", "Kind", "Limits", "Snapshot", "find_all"]


class Kind(StrEnum):
    """What is wrong."""

    UNREGISTERED = "unregistered"
    NOT_CONSUMED = "not_consumed"
    TOO_FEW_WORKERS = "too_few_workers"
    OVERDUE = "overdue"
    TOO_LATE = "too_late"
    TOO_MANY_FAILURES = "too_many_failures"


EXITS: Final = {
    Kind.UNREGISTERED: Exit.FAILED,
    Kind.NOT_CONSUMED: Exit.NOT_CONSUMED,
    Kind.TOO_FEW_WORKERS: Exit.TOO_FEW_WORKERS,
    Kind.OVERDUE: Exit.FAILED,
    Kind.TOO_LATE: Exit.TOO_LATE,
    Kind.TOO_MANY_FAILURES: Exit.TOO_MANY_FAILURES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a user demands of an app; None demands nothing."""

    workers: int | None = None
    """Workers of the app that must be up."""
    latency: float | None = None
    """Seconds that a due job may wait."""
    failures: int | None = None
    """Failures that may be listed, over all queues together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the broker knows at one time, of the queues that are checked."""

    app: str
    queues: Sequence[str]
    now: datetime
    entries: Sequence[EntryOverview]
    """The entries of the code in queues that can be reached."""
    workers: Sequence[WorkerInfo] | None
    """Workers that are up, of any app; None if the broker has no registry of workers."""
    stats: Mapping[str, QueueStats] = field(default_factory=dict[str, QueueStats])
    due: Sequence[JobRecord] = ()
    """The due jobs of each queue that run next, if the latency is checked."""
    stops: Sequence[Stop] = ()
    away: Mapping[str, BrokerUnavailable]
    """The queues that cannot be reached, and why: they cannot be checked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong."""

    kind: Kind
    text: str

    @property
    def code(self) -> Exit:
        """The exit code of its kind."""
        return EXITS[self.kind]


def find_all(snapshot: Snapshot, limits: Limits) -> list[Finding]:
    """Return what is wrong, the cause before what follows from it."""
    return [
        *_unregistered(snapshot),
        *_unconsumed(snapshot),
        *_too_few_workers(snapshot, limits.workers),
        *(
            Finding(Kind.OVERDUE, _overdue_text(one, one.overdue, snapshot.now))
            for one in snapshot.entries
            if one.overdue
        ),
        *_too_late(snapshot, limits.latency),
        *_too_many_failures(snapshot, limits.failures),
    ]


def _unregistered(snapshot: Snapshot) -> Iterator[Finding]:
    # Entries should fire, and none is registered: then none can be overdue.
    entries = snapshot.entries
    if any(one.definition.enabled for one in entries) and not any(one.status for one in entries):
        text = (
            f"none of the {len(entries)} entries of app {snapshot.app} is registered with the broker: no worker of the "
            "app has started yet, or the workers' app has another name or broker; start a worker, or set the "
            "name with Aarq(name=...)"
        )
        yield Finding(Kind.UNREGISTERED, text)


def _unconsumed(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield the queues that have something to do and no worker. One of another app runs jobs, but fires no entry."""
    if snapshot.workers is None:
        return
    paused = _paused(snapshot)
    for queue in snapshot.queues:
        consumers = [worker for worker in snapshot.workers if queue in worker.queues]
        jobs = 0 if consumers or queue in paused else _waiting(snapshot.stats.get(queue))
        fires = any(worker.app in ("", snapshot.app) for worker in consumers)
        entries = 0 if fires else sum(_fires(one) and one.definition.queue == queue for one in snapshot.entries)
        what = [
            f"{count:,} {name}{'' if count == 1 else 's'}"
            for count, name in ((jobs, "job"), (entries, "cron"))
            if count
        ]
        if what:
            workers = f"no worker of app {snapshot.app}" if consumers else "no worker"
            text = f"{workers} consumes queue {queue}, which has {' and '.join(what)}; start one with -q {queue}"
            yield Finding(Kind.NOT_CONSUMED, text)


def _fires(entry: EntryOverview) -> bool:
    status = entry.status
    return entry.definition.enabled and status is not None and status.pause is None and status.retired_at is None


def _waiting(stats: QueueStats | None) -> int:
    return 0 if stats is None else stats.pending + stats.scheduled + stats.running


def _too_few_workers(snapshot: Snapshot, least: int | None) -> Iterator[Finding]:
    if least is None:
        return
    checked = set(snapshot.queues)
    up = sum(
        worker.app in ("", snapshot.app) and bool(checked & set(worker.queues)) for worker in snapshot.workers or ()
    )
    if up < least:
        be = "worker is" if up == 1 else "workers are"
        yield Finding(
            Kind.TOO_FEW_WORKERS,
            f"{up} {be} up that consume{'s' if up == 1 else ''} a checked queue, fewer than {least}",
        )


def _too_late(snapshot: Snapshot, limit: float | None) -> Iterator[Finding]:
    """Yield the queues whose oldest due job waits for too long. A pause, or the stop of its task, excuses it."""
    if limit is None:
        return
    stopped = {(stop.queue, stop.task) for stop in snapshot.stops}
    now = snapshot.now.timestamp()
    oldest: dict[str, JobRecord] = {}
    for job in snapshot.due:
        if (job.queue, None) in stopped or (job.queue, job.task) in stopped or job.run_at is None:
            continue
        if job.queue not in oldest or job.run_at < (oldest[job.queue].run_at or 0.0):
            oldest[job.queue] = job
    for queue, job in oldest.items():
        if (waits := now - (job.run_at or now)) > limit:
            text = f"job {job.id} of queue {queue} has been due for {format_duration(waits)}, longer than {limit:g} s"
            yield Finding(Kind.TOO_LATE, text)


def _too_many_failures(snapshot: Snapshot, limit: int | None) -> Iterator[Finding]:
    if limit is None:
        return
    counts = {queue: snapshot.stats[queue].failures for queue in snapshot.queues if queue in snapshot.stats}
    found = {queue: count for queue, count in counts.items() if count}
    total = sum(found.values())
    if total > limit:
        listed = ", ".join(f"{queue} {count:,}" for queue, count in found.items())
        be = " is" if total == 1 else "s are"
        text = f"{total:,} failure{be} listed, more than {limit:,}: {listed}; see aioq jobs failures"
        yield Finding(Kind.TOO_MANY_FAILURES, text)


def _paused(snapshot: Snapshot) -> set[str]:
    return {stop.queue for stop in snapshot.stops if stop.task is None}


def _overdue_text(overview: EntryOverview, tick: datetime, now: datetime) -> str:
    """Return the text for an overdue entry: the tick without a record, and the latest record."""
    definition = overview.definition
    zone = zone_named(definition.tz)
    last = overview.status.last if overview.status else None
    latest = f"the latest one is {last.status} at {format_time(stored_time(last.tick, zone))}" if last else "none is"
    ago = format_duration((now - tick).total_seconds())
    return (
        f"{definition.name} is overdue: its tick of {format_time(tick.astimezone(zone))}, {ago} ago, is not recorded, "
        f"and {latest}; is a worker for queue {definition.queue} up?"
    )
