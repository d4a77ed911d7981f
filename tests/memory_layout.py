# pyright: reportPrivateUsage=false
"""What must hold inside a memory broker between any two operations: every job is in one place, and all has a bound."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from aioq.backends import MemoryBroker
from aioq.backends.memory.queue import WAITING, Line, StoredJob
from aioq.model.states import FINAL_STATES, JobState

__all__ = ["brokers_made", "leaks_in"]

MOST_RECORDS = 100
"""Of ticks, for each entry."""

PLACES = {
    JobState.PENDING: "in line",
    JobState.SCHEDULED: "put off",
    JobState.RETRYING: "put off",
    JobState.RUNNING: "leased",
}
"""Where a job is that has not ended."""


@contextmanager
def brokers_made() -> Generator[list[MemoryBroker]]:
    """Give a list of the memory brokers that are made while the block runs, whoever makes them."""
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
    """Return what is wrong with a broker that nobody is using any more."""
    return [
        *(leak for queue, line in broker._store.lines.items() for leak in _of_queue(broker, queue, line)),
        *_of_records(broker),
        *(f"somebody waits for {kind} of {name} still" for kind, name in broker._wakes._waiting),
        *(f"worker {worker} listens for aborts still" for worker in broker._wakes._aborts),
        *(
            f"entry {key.name} has {len(entry.ring._records)} records"
            for key, entry in broker._ticks._entries.items()
            if len(entry.ring._records) > MOST_RECORDS
        ),
    ]


def _of_queue(broker: MemoryBroker, queue: str, line: Line) -> Iterator[str]:
    mine = [stored for stored in broker._store.jobs.values() if stored.job.queue == queue]
    found = Counter((stored.job.id, place) for stored, place in _placed(line))
    wanted = Counter((stored.job.id, PLACES[stored.state]) for stored in mine if stored.state not in FINAL_STATES)
    yield from (f"job {job_id} of queue {queue} is {place}, and should not be" for job_id, place in found - wanted)
    yield from (f"job {job_id} of queue {queue} is not {place}, and should be" for job_id, place in wanted - found)
    if (counted := +line.counts) != Counter(stored.state for stored in mine):
        yield f"queue {queue} counts {dict(counted)}"
    if len(line.later) > 2 * sum(line.counts[state] for state in WAITING) + 1:
        yield f"queue {queue} keeps {len(line.later)} moments, most of jobs that were called off"


def _placed(line: Line) -> Iterable[tuple[StoredJob, str]]:
    """Yield what is in each place of a queue; of the moments to come, those that still count."""
    for waiting in (*line.ready, line.suspects):
        yield from ((stored, "in line") for stored in waiting.values())
    yield from ((stored, "leased") for stored in line.leased.values())
    yield from ((stored, "put off") for at, _, stored in line.later if stored.state in WAITING and stored.run_at == at)


def _of_records(broker: MemoryBroker) -> Iterator[str]:
    """Say which records of ended jobs nothing will ever forget."""
    ends = {(job_id, ended) for _, job_id, ended in broker._store.expiry}
    for stored in broker._store.jobs.values():
        if stored.state in FINAL_STATES and (stored.job.id, stored.finished_at) not in ends:
            yield f"job {stored.job.id} has ended and is kept for ever"
