# pyright: reportPrivateUsage=false
"""Checks the state inside a memory broker between operations: each job is in one place, and nothing grows without bound."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from aioq.backends import MemoryBroker
from aioq.backends.memory.queue import WAITING, JobQueue, StoredJob
from aioq.model.states import FINAL_STATES, JobState

__all__ = ["brokers_made", "leaks_in"]

MAX_RECORDS = 100
"""Tick records of one entry."""

PLACES = {
    JobState.PENDING: "in the queue",
    JobState.SCHEDULED: "scheduled",
    JobState.RETRYING: "scheduled",
    JobState.RUNNING: "leased",
}
"""The collection that holds a job, by state."""


@contextmanager
def brokers_made() -> Generator[list[MemoryBroker]]:
    """Yield a list that collects every memory broker made during the block."""
    made: list[MemoryBroker] = []
    begin = MemoryBroker.__init__

    @functools.wraps(begin)
    def noted(self: MemoryBroker, *args: object, **options: object) -> None:
        begin(self, *args, **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # whatever it is
        made.append(self)

    MemoryBroker.__init__ = noted  # type: ignore[method-assign]
    try:
        yield made
    finally:
        MemoryBroker.__init__ = begin  # type: ignore[method-assign]


def leaks_in(broker: MemoryBroker) -> list[str]:
    """Return the faults in a broker that is no longer in use."""
    return [
        *(leak for queue, jobs in broker._table.queues.items() for leak in _of_queue(broker, queue, jobs)),
        *_of_records(broker),
        *(f"a waiter for {kind} of {name} is left" for kind, name in broker._table.waiters._waits),
        *(f"an abort listener of worker {worker} is left" for worker in broker._table.waiters._aborts),
        *(
            f"entry {key.name} has {len(entry.history._records)} records"
            for key, entry in broker._entries.items()
            if len(entry.history._records) > MAX_RECORDS
        ),
    ]


def _of_queue(broker: MemoryBroker, queue: str, jobs: JobQueue) -> Iterator[str]:
    mine = [stored for stored in broker._table.jobs.values() if stored.job.queue == queue]
    found = Counter((stored.job.id, place) for stored, place in _placed(jobs))
    wanted = Counter((stored.job.id, PLACES[stored.state]) for stored in mine if stored.state not in FINAL_STATES)
    yield from (f"job {job_id} of queue {queue} is {place} and should not be" for job_id, place in found - wanted)
    yield from (f"job {job_id} of queue {queue} is not {place} and should be" for job_id, place in wanted - found)
    if (counted := +jobs.counts) != Counter(stored.state for stored in mine):
        yield f"queue {queue} counts {dict(counted)}"
    if len(jobs.scheduled) > 2 * sum(jobs.counts[state] for state in WAITING) + 1:
        yield f"queue {queue} has {len(jobs.scheduled)} scheduled items, most of cancelled jobs"


def _placed(jobs: JobQueue) -> Iterable[tuple[StoredJob, str]]:
    """Yield each job of a queue with its place; scheduled items of cancelled jobs are left out."""
    aside = (line for stopped in jobs.stopped.values() for line in stopped.lines)
    for waiting in (*jobs.ready, jobs.crashed, *aside):
        yield from ((stored, "in the queue") for stored in waiting.values())
    yield from ((stored, "leased") for stored in jobs.leased.values())
    yield from (
        (stored, "scheduled") for at, _, stored in jobs.scheduled if stored.state in WAITING and stored.run_at == at
    )


def _of_records(broker: MemoryBroker) -> Iterator[str]:
    """Yield the ended jobs whose records would never be dropped."""
    ends = {(key, ended) for _, key, ended in broker._table.expiry}
    for stored in broker._table.jobs.values():
        if stored.state in FINAL_STATES and (stored.job.key, stored.finished_at) not in ends:
            yield f"job {stored.job.id} has ended and is never forgotten"
