"""Shows where jobs are, and what they are doing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from aioq.model.job import JobRecord, QueueStats
from aioq.model.states import JobState
from aioq.protocols import JobStore
from aioq.serialization.failure import one_line
from aioq_web.actions.change import VERBS
from aioq_web.charts.life import LifeBar, life_bar
from aioq_web.masking import Shown
from aioq_web.paging import Slice, page_number
from aioq_web.search import MOST_CHANGED, MOST_QUEUES, MOST_READ, Search, chosen_queues, filter_of
from aioq_web.text import duration
from aioq_web.view import NotFound, Page, View

__all__ = ["change_preview", "jobs"]

FIRST: Final = 20
"""Jobs of a preview."""

MOST_NAMES: Final = 200
"""Queues that a reader may choose from a list; if there are more, the name is typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job of the list."""

    job: JobRecord
    arguments: Shown
    life: LifeBar
    now: str
    """What it is doing."""


async def jobs(view: View) -> Page:
    """Show the jobs that match a search."""
    store, wanted = view.feature(JobStore), filter_of(view.query)
    stats = view.snapshot.queues or ()
    chosen, left_out = chosen_queues(stats, wanted)
    found: Slice[JobRecord] = Slice([], 1)
    searched, exact = False, None
    if store is not None:
        search, number = Search(store, chosen, wanted), page_number(view)
        found, searched = await view.read(("jobs", wanted, number), partial(search.page, number))
        exact = await view.read(("job of", wanted), search.exact)
    values = {
        "kept": store is not None,
        "filter": wanted,
        "queues": [each.queue for each in stats[:MOST_NAMES]],
        "listed": len(stats) <= MOST_NAMES,
        "left_out": left_out,
        "most_queues": MOST_QUEUES,
        "states": list(JobState),
        "verbs": [verb for verb in VERBS.values() if wanted.state is None or wanted.state in verb.states],
        "counts": _counts(stats if not wanted.queue else chosen),
        "rows": [_row(view, job) for job in found.items],
        "slice": found,
        "searched": searched,
        "most_read": MOST_READ,
        "q": view.query.get("q", ""),
        "exact": exact,
    }
    return Page("jobs.html", "Jobs", values)


async def change_preview(view: View) -> Page:
    """Show what a change of all jobs that match a search would change."""
    store, wanted = view.feature(JobStore), filter_of(view.query)
    verb = VERBS.get(view.query.get("verb", ""))
    if store is None or verb is None:
        raise NotFound("there is no such change of jobs")
    chosen, left_out = chosen_queues(view.snapshot.queues or (), wanted)
    found, more = await Search(store, chosen, wanted).matching(verb.states, MOST_CHANGED, view.now)
    values = {
        "filter": wanted,
        "verb": verb,
        "count": len(found),
        "more": more or left_out,
        "rows": [_row(view, job) for job in found[:FIRST]],
        "until": view.now,
        "q": view.query.get("q", ""),
        "back": {"q": view.query.get("q", ""), "state": wanted.state or "", "queue": wanted.queue},
        "most_changed": MOST_CHANGED,
    }
    return Page("jobs_change.html", f"{verb.name.capitalize()} jobs", values)


def _counts(chosen: Sequence[QueueStats]) -> dict[str, int]:
    """Return the number of jobs in the states that the broker counts."""
    names = ("pending", "scheduled", "running", "dead", "expired")
    return {name: sum(getattr(stats, name) for stats in chosen) for name in names}


def _row(view: View, job: JobRecord) -> JobRow:
    now = ", ".join(_now(view, job))
    return JobRow(job=job, arguments=view.masking.show(job.payload), life=life_bar(job, view.now), now=now)


def _now(view: View, job: JobRecord) -> Iterator[str]:
    match job.state:
        case JobState.RUNNING if job.started_at is not None:
            yield f"running for {duration(view.now - job.started_at)}"
        case JobState.RETRYING | JobState.SCHEDULED if job.run_at is not None:
            yield f"due in {duration(max(0.0, job.run_at - view.now))}"
        case JobState.PENDING:
            yield f"waits for {duration(view.now - job.enqueued_at)}"
        case _ if job.failure is not None:
            yield one_line(f"{job.failure.type}: {job.failure.message}", 120)
        case _ if job.started_at is not None and job.finished_at is not None:
            yield f"took {duration(job.finished_at - job.started_at)}"
        case _:
            yield job.reason or str(job.state)
