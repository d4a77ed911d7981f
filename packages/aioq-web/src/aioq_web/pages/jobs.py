"""Shows where jobs are, and what they are doing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.job import JobRecord
from aioq.model.states import JobState
from aioq.protocols import JobStore
from aioq.serialization.failure import one_line
from aioq_web.charts.life import LifeBar, life_bar
from aioq_web.masking import Shown
from aioq_web.paging import Slice, page_number
from aioq_web.text import duration
from aioq_web.view import Page, View

__all__ = ["Filter", "jobs"]

ROWS: Final = 50
READ: Final = 200
"""Jobs that one look-up returns."""
MOST_READ: Final = 2_000
"""Jobs of a state in which a filter searches for one page."""

KEYS: Final = ("task", "queue", "state", "error", "id")
"""What a search may name, as in `task:send_mail`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a reader searches for. Empty parts match everything."""

    text: str = ""
    """Words without a key: part of an id or a task."""
    task: str = ""
    queue: str = ""
    state: JobState | None = None
    error: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether jobs of a queue and a state have to be looked at one by one."""
        return bool(self.text or self.task or self.error)

    def matches(self, job: JobRecord) -> bool:
        """Return whether a job of the right queue and state matches."""
        failure = f"{job.failure.type}: {job.failure.message}" if job.failure else job.reason or ""
        return (
            self.task.lower() in job.task.lower()
            and self.error.lower() in failure.lower()
            and (self.text.lower() in job.id.lower() or self.text.lower() in job.task.lower())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job of the list."""

    job: JobRecord
    arguments: Shown
    life: LifeBar
    now: str
    """What it is doing."""


def filter_of(query: Mapping[str, str]) -> Filter:
    """Return the filter of a request: words of `q`, as in `task:send state:failed 4711`, and the fields themselves."""
    found = {name: query.get(name, "") for name in ("queue", "state", "task", "error")}
    words: list[str] = []
    for word in query.get("q", "").split():
        key, colon, value = word.partition(":")
        if colon and key in KEYS and value:
            found["text" if key == "id" else key] = value
        else:
            words.append(word)
    state = next((state for state in JobState if state == found["state"]), None)
    text = found.get("text") or " ".join(words)
    return Filter(text=text, task=found["task"], queue=found["queue"], state=state, error=found["error"])


async def jobs(view: View) -> Page:
    """Show the jobs that match a search."""
    store = view.feature(JobStore)
    wanted = filter_of(view.query)
    names = [stats.queue for stats in view.snapshot.queues or ()]
    chosen = [name for name in names if wanted.queue in ("", name)]
    found: Slice[JobRecord] = Slice([], 1)
    searched = False
    if store is not None:
        found, searched = await _page(store, chosen, wanted, page_number(view))
    values = {
        "kept": store is not None,
        "filter": wanted,
        "queues": names,
        "states": list(JobState),
        "counts": _counts(view, chosen),
        "rows": [_row(view, job) for job in found.items],
        "slice": found,
        "searched": searched,
        "most_read": MOST_READ,
        "q": view.query.get("q", ""),
        "exact": await _exact(store, chosen, wanted.text) if store else None,
    }
    return Page("jobs.html", "Jobs", values)


async def _page(store: JobStore, queues: Sequence[str], wanted: Filter, page: int) -> tuple[Slice[JobRecord], bool]:
    """Return a page of jobs, the latest first, and whether there may be more than were searched."""
    found: list[JobRecord] = []
    most = page * ROWS + 1
    cut = False
    for queue in queues:
        for state in [wanted.state] if wanted.state else list(JobState):
            matching, ended = await _read(store, queue, state, wanted, most)
            found += matching
            cut = cut or not ended
    found.sort(key=_latest, reverse=True)
    shown = found[(page - 1) * ROWS : page * ROWS]
    return Slice(shown, page, more=len(found) > page * ROWS), cut and wanted.is_narrow


async def _read(
    store: JobStore, queue: str, state: JobState, wanted: Filter, most: int
) -> tuple[list[JobRecord], bool]:
    """Return matching jobs of a queue in a state, and whether all of them were looked at."""
    found: list[JobRecord] = []
    offset = 0
    while len(found) < most and offset < MOST_READ:
        size = READ if wanted.is_narrow else min(most, READ)
        batch = await store.list_jobs(queue, state, limit=size, offset=offset)
        found += [job for job in batch if wanted.matches(job)]
        offset += size
        # A broker leaves out jobs that have changed their state meanwhile, so a search goes on until a page is empty.
        if not batch or (len(batch) < size and not wanted.is_narrow):
            return found[:most], True
    return found[:most], False


async def _exact(store: JobStore, queues: Sequence[str], text: str) -> JobRecord | None:
    """Return the job whose id was searched for, wherever it is in its list."""
    if not 4 <= len(text) <= 200 or " " in text:
        return None
    for queue in queues:
        if (job := await store.get_job(text, queue=queue)) is not None:
            return job
    return None


def _latest(job: JobRecord) -> float:
    return max(job.finished_at or 0.0, job.started_at or 0.0, job.enqueued_at)


def _counts(view: View, queues: Sequence[str]) -> dict[str, int]:
    """Return the number of jobs in the states that the broker counts."""
    chosen = [stats for stats in view.snapshot.queues or () if stats.queue in queues]
    return {
        "pending": sum(stats.pending for stats in chosen),
        "scheduled": sum(stats.scheduled for stats in chosen),
        "running": sum(stats.running for stats in chosen),
        "dead": sum(stats.dead for stats in chosen),
        "expired": sum(stats.expired for stats in chosen),
    }


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
