"""Checks the jobs of a queue, and whether workers run them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.health import Finding, Level
from aioq.model.workers import WorkerInfo
from aioq_redis.doctor.host import format_bytes
from aioq_redis.doctor.snapshot import Snapshot
from aioq_redis.storage.job_states import ENDED_STATES

__all__ = ["QueueFacts", "about_queue", "about_stuck", "about_workers"]

OVERDUE: Final = 60.0
"""Seconds within which a worker should claim a due job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """What was read of a queue."""

    name: str
    snapshot: Snapshot
    earliest: float | None
    """When the first job in `due` is due, in milliseconds of the server's clock."""
    memory: int | None
    """An estimate in bytes; None if the user may not ask for it."""

    @property
    def overdue(self) -> float:
        """Seconds since the oldest job in `due` became due; 0 if none is due."""
        return 0.0 if self.earliest is None else max(self.snapshot.now - self.earliest, 0.0) / 1000

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        snapshot = self.snapshot
        ended = {name.value: snapshot.indexes[letter].size for letter, name in ENDED_STATES.items()}
        return {"pending": snapshot.pending, "scheduled": snapshot.due.size, "running": snapshot.leased.size, **ended}


def about_workers(workers: Sequence[WorkerInfo]) -> Finding:
    """Return a finding about the workers that are up."""
    running = sum(worker.running for worker in workers)
    slots = sum(worker.concurrency for worker in workers)
    text = f"{len(workers)} up, with {slots} slots, {running} in use at the last heartbeat" if workers else "none is up"
    facts = {"workers": len(workers), "slots": slots, "running": running}
    advice = "" if workers else "start one: aioq worker MODULE:APP"
    return Finding(level=Level.OK if workers else Level.WARN, subject="workers", text=text, advice=advice, facts=facts)


def about_stuck(workers: Sequence[WorkerInfo]) -> Iterable[Finding]:
    """Return a finding if slots of workers are held by tasks that go on although they were interrupted."""
    if stuck := sum(worker.stuck for worker in workers):
        slots = sum(worker.concurrency for worker in workers)
        names = ", ".join(worker.id for worker in workers if worker.stuck)
        yield Finding(
            level=Level.FAIL,
            subject="workers",
            text=f"{stuck} of {slots} slots are stuck: their tasks ignore a timeout or a cancellation",
            advice=f"read the logs of {names} for the stacks of these tasks, and restart the workers",
            facts={"stuck": stuck, "slots": slots},
        )


def about_queue(facts: QueueFacts, workers: Sequence[WorkerInfo] | None) -> Iterable[Finding]:
    """Return findings about the jobs of a queue; `workers` is None if they could not be read."""
    subject, counts = f"queue {facts.name}", facts.counts()
    figures: dict[str, int | float | str] = {**counts, "overdue": round(facts.overdue, 3)}
    if facts.memory is not None:
        figures["memory"] = facts.memory
    shown = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "empty"
    room = "" if facts.memory is None else f"; about {format_bytes(facts.memory)}"
    yield Finding(level=Level.OK, subject=subject, text=f"{shown}{room}", facts=figures)
    if counts["dead"]:
        yield Finding(
            level=Level.WARN,
            subject=subject,
            text=f"{counts['dead']:,} dead jobs are stored",
            advice="list them with broker.list_dead_jobs, and enqueue them again with broker.retry_job",
            facts={"dead": counts["dead"]},
        )
    waiting = counts["pending"] + counts["scheduled"]
    if waiting and workers is not None and not any(facts.name in worker.queues for worker in workers):
        yield Finding(
            # Jobs that are due later do not need a worker yet.
            level=Level.FAIL if counts["pending"] or facts.overdue else Level.WARN,
            subject=subject,
            text=f"{waiting:,} jobs wait, and no worker that is up consumes the queue",
            advice=f"start one: aioq worker MODULE:APP -q {facts.name}",
            facts={"waiting": waiting},
        )
    elif facts.overdue > OVERDUE:
        yield Finding(
            level=Level.WARN,
            subject=subject,
            text=f"a job has been due for {facts.overdue:,.0f} s, and no worker has claimed it",
            advice="add workers, or read the logs of those that consume the queue",
            facts={"overdue": round(facts.overdue, 3)},
        )
