"""Shows whether anything is wrong, and what is to be done first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from aioq.clock import stored_time
from aioq.cron.overview import EntryOverview
from aioq.model.changes import Change
from aioq.model.failures import FailureGroup
from aioq.model.statistics import Step
from aioq.protocols import ChangeLog
from aioq.serialization.failure import one_line
from aioq_web.charts.columns import columns, line
from aioq_web.history import RANGES, History, sum_up
from aioq_web.pages.crons import cron_rows, next_tick, sorted_overviews
from aioq_web.pages.failures import failure_groups
from aioq_web.pages.queues import QueueRow, queue_rows
from aioq_web.text import count_of
from aioq_web.view import Page, View

__all__ = ["overview"]

MAX_ROWS = 6
"""Rows of each table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something that needs a person."""

    css: str
    icon: str
    head: str
    text: str
    link: str
    button: str


async def overview(view: View) -> Page:
    """Show what needs a person, the figures of now, and the first rows of each list."""
    rows, crons = queue_rows(view), sorted_overviews(view)
    counts = await view.histories.counts(view.span, view.now)
    workers = view.snapshot.workers
    values = {
        "concerns": [
            *_of_failures(view, await failure_groups(view)),
            *_of_queues(view, rows),
            *_of_workers(view),
            *_of_crons(view, crons),
        ],
        "queues": rows[:MAX_ROWS],
        "workers": sorted(workers or (), key=lambda worker: worker.started_at)[:MAX_ROWS],
        "crons": cron_rows(view, [each for each in crons if next_tick(each) is not None][:MAX_ROWS]),
        "counts": {"queues": len(rows), "workers": len(workers or ()), "crons": len(crons)},
        "running": sum(row.stats.running for row in rows),
        "slots": sum(worker.concurrency for worker in workers or ()),
        "waiting": sum(row.stats.pending for row in rows),
        "later": sum(row.stats.scheduled for row in rows),
        "failures": view.snapshot.failures,
        "oldest": min((worker.started_at for worker in workers or ()), default=None),
        "changes": await _changes(view),
        "kept": view.snapshot.queues is not None,
        "ranges": list(RANGES.values()),
        "charts": None if counts is None else _charts(view, sum_up(counts, view.span, view.now)),
    }
    return Page("overview.html", "Overview", values)


async def _changes(view: View) -> list[Change]:
    log = view.feature(ChangeLog)
    return await view.read("changes", partial(log.list_changes, limit=MAX_ROWS)) if log else []


def _charts(view: View, history: History) -> dict[str, object]:
    """Return the charts of a history, and where its axis has labels."""

    def at(place: int) -> str:
        start = stored_time(history.start + place * history.span.step, view.reader.zone)
        return f"{start:%H:%M}" if history.span.step is Step.MINUTE else f"{start:%a %d %b %H:%M}"

    unit = "a minute" if history.span.step is Step.MINUTE else "an hour"
    quarter = history.span.periods // 4
    return {
        "history": history,
        "unit": unit,
        "completed": columns(history.completed, lambda place: f"{at(place)}: {history.completed[place]:,} completed"),
        "failed": columns(history.failed, lambda place: f"{at(place)}: {history.failed[place]:,} failed"),
        "wait": line(history.wait),
        "labels": [at(place) for place in (0, quarter, 2 * quarter, 3 * quarter)],
    }


def _of_queues(view: View, rows: list[QueueRow]) -> Iterator[Concern]:
    for row in rows:
        stats = row.stats
        if row.orphaned:
            yield Concern(
                css="failed", icon="queues", head=f"No worker consumes {stats.queue}.",
                text=f"{count_of(stats.pending, 'job waits', 'jobs wait')}, {stats.scheduled:,} later.",
                link=view.url("queues"), button="Queue",
            )  # fmt: skip


def _of_failures(view: View, groups: list[FailureGroup]) -> Iterator[Concern]:
    if not groups:
        return
    count, most = sum(group.count for group in groups), max(groups, key=lambda group: group.count)
    failure = most.sample.failure
    what = one_line(failure.message if failure else most.sample.reason or most.sample.state, 80)
    yield Concern(
        css="failed", icon="failures", head=f"{count_of(count, 'job', 'jobs')} failed for good,",
        text=f"from {count_of(len(groups), 'cause', 'causes')}. Most: “{what}” in {most.sample.task}, "
        f"{most.count:,}, latest {view.moment(most.last).relative}.",
        link=view.url("failures"), button="See causes",
    )  # fmt: skip


def _of_workers(view: View) -> Iterator[Concern]:
    for worker in view.snapshot.workers or ():
        if worker.stuck:
            yield Concern(
                css="failed", icon="stuck",
                head=count_of(worker.stuck, "slot is stuck", "slots are stuck"),
                text=f"on {worker.id}.",
                link=view.url("workers"), button="Worker",
            )  # fmt: skip


def _of_crons(view: View, overviews: list[EntryOverview]) -> Iterator[Concern]:
    for overview in overviews:
        if overview.overdue is None:  # the overdue ones come first
            return
        since = view.moment(overview.overdue.timestamp()).relative
        key = overview.definition.key
        yield Concern(
            css="retrying", icon="crons", head=f"{key.name} is overdue", text=f"since {since}.",
            link=view.url("crons", key.queue, key.name), button="Cron",
        )  # fmt: skip
