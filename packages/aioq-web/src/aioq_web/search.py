"""Searches jobs: by queue and state as the broker lists them, and by text in what it has listed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from aioq.model.job import JobRecord, QueueStats
from aioq.model.states import JobState
from aioq.protocols import JobStore
from aioq_web.paging import Slice
from aioq_web.parallel import in_parallel

__all__ = ["MOST_CHANGED", "MOST_QUEUES", "MOST_READ", "Filter", "Search", "chosen_queues", "filter_of"]

ROWS: Final = 50
FIRST: Final = 10
"""Jobs of each queue and state that a page has at least, if there are."""
READ: Final = 200
"""Jobs that one look-up returns."""
MOST_READ: Final = 2_000
"""Jobs of a queue and a state in which a filter searches."""
MOST_QUEUES: Final = 10
"""Queues that are looked at if the reader has chosen none."""

MOST_CHANGED: Final = 1_000
"""Jobs that one form changes by a filter."""

MAX_ID: Final = 200
"""Characters of an id."""

KEYS: Final = ("task", "queue", "state", "error", "id")
"""What a search may name, as in `task:send_mail`."""

COUNTED: Final = {
    JobState.PENDING: "pending",
    JobState.SCHEDULED: "scheduled",
    JobState.RETRYING: "scheduled",
    JobState.RUNNING: "running",
    JobState.DEAD: "dead",
    JobState.EXPIRED: "expired",
}
"""The count of a queue that is 0 if it has no job in a state."""


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

    @property
    def in_words(self) -> str:
        """The filter as a reader would type it; empty if it matches everything."""
        parts = {"task": self.task, "queue": self.queue, "state": self.state or "", "error": self.error}
        return " ".join([*(f"{name}:{value}" for name, value in parts.items() if value), self.text]).strip()

    def matches(self, job: JobRecord) -> bool:
        """Return whether a job of the right queue and state matches."""
        failure = f"{job.failure.type}: {job.failure.message}" if job.failure else job.reason or ""
        return (
            self.task.lower() in job.task.lower()
            and self.error.lower() in failure.lower()
            and (self.text.lower() in job.id.lower() or self.text.lower() in job.task.lower())
        )


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


def chosen_queues(stats: Sequence[QueueStats], wanted: Filter) -> tuple[list[QueueStats], bool]:
    """Return the queues to look at, and whether others are left out: those with the fewest jobs."""
    if wanted.queue:
        return [each for each in stats if each.queue == wanted.queue], False
    most = sorted(stats, key=lambda each: -(each.running + each.pending + each.scheduled + each.failures))
    return most[:MOST_QUEUES], len(most) > MOST_QUEUES


class Search:
    """Looks up the jobs of queues.

    Args:
        store: The broker.
        queues: The queues to look at.
        wanted: What matches.
    """

    def __init__(self, store: JobStore, queues: Sequence[QueueStats], wanted: Filter) -> None:
        self._store = store
        self._queues = queues
        self._wanted = wanted

    async def page(self, number: int) -> tuple[Slice[JobRecord], bool]:
        """Return a page of jobs, the latest first, and whether there are more that no page has.

        Without words to search for, a page has the next jobs of each queue in the state. Without a state either, it has
        the latest of the first ones, and there is one page.
        """
        lists = [one for one in self._lists(frozenset(JobState)) if self._wanted.state or not self._is_hidden(*one)]
        if self._wanted.is_narrow:
            found, cut = await self._search(lists, number * ROWS + 1)
            shown = found[(number - 1) * ROWS : number * ROWS]
            return Slice(shown, number, more=len(found) > number * ROWS), cut
        each = max(FIRST, ROWS // max(1, len(lists)))
        offset = (number - 1) * each if self._wanted.state else 0
        parts = await in_parallel(partial(self._list, *one, each, offset) for one in lists)
        found = sorted((job for part in parts for job in part), key=_latest, reverse=True)
        more = any(len(part) == each for part in parts)
        if self._wanted.state:
            return Slice(found, number, more=more), False
        return Slice(found[:ROWS], 1), more or len(found) > ROWS

    async def matching(self, states: Collection[JobState], most: int, until: float) -> tuple[list[JobRecord], bool]:
        """Return up to `most` jobs in one of `states`, and whether there may be more.

        Args:
            states: States in which they may be.
            most: How many.
            until: Jobs that were enqueued or ended later are left out: the reader has not seen them.
        """
        found, cut = await self._search(self._lists(states), most + 1, until=until)
        return found[:most], cut or len(found) > most

    def _lists(self, states: Collection[JobState]) -> list[tuple[str, JobState]]:
        """Return the queues and states that may have a job."""
        wanted = [state for state in JobState if state in states and self._wanted.state in (None, state)]
        return [
            (stats.queue, state)
            for stats in self._queues
            for state in wanted
            if state not in COUNTED or getattr(stats, COUNTED[state])
        ]

    def _is_hidden(self, queue: str, state: JobState) -> bool:
        """Return whether jobs are left out unless their state is chosen: a broker has to look for them among others."""
        if state is not JobState.RETRYING:
            return False
        return any(stats.queue == queue and stats.scheduled > MOST_READ for stats in self._queues)

    async def _search(
        self, lists: Sequence[tuple[str, JobState]], most: int, until: float = float("inf")
    ) -> tuple[list[JobRecord], bool]:
        parts = await in_parallel(partial(self._read, *one, most, until) for one in lists)
        found = sorted((job for jobs, _ in parts for job in jobs), key=_latest, reverse=True)
        return found[:most], not all(ended for _, ended in parts)

    async def _read(self, queue: str, state: JobState, most: int, until: float) -> tuple[list[JobRecord], bool]:
        """Return matching jobs of a queue in a state, and whether all of them were looked at."""
        found: list[JobRecord] = []
        for offset in range(0, MOST_READ, READ):
            batch = await self._list(queue, state, READ, offset)
            found += [job for job in batch if _latest(job) <= until and self._wanted.matches(job)]
            # A broker leaves out jobs that have changed their state meanwhile: only an empty page is the end.
            if not batch:
                return found, True
            if len(found) >= most:
                break
        return found, False

    async def exact(self) -> JobRecord | None:
        """Return the job whose id is the text of the filter, wherever it is in its list."""
        text = self._wanted.text
        if not 4 <= len(text) <= MAX_ID or " " in text:
            return None
        found = await in_parallel(partial(self._store.get_job, text, queue=stats.queue) for stats in self._queues)
        return next((job for job in found if job is not None), None)

    async def _list(self, queue: str, state: JobState, limit: int, offset: int) -> list[JobRecord]:
        return await self._store.list_jobs(queue, state, limit=limit, offset=offset)


def _latest(job: JobRecord) -> float:
    return max(job.finished_at or 0.0, job.started_at or 0.0, job.enqueued_at)
