"""How many jobs of a queue are where, and whether anybody runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.health import Finding, Level
from aioq.model.job import WorkerInfo
from aioq_redis.doctor.format import size
from aioq_redis.doctor.snapshot import Snapshot
from aioq_redis.storage.job_states import ENDED_STATES

__all__ = ["QueueFacts", "about_queue", "about_workers"]

OVERDUE: Final = 60.0
"""Seconds after which a job that is due should be in line at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """A queue as it was found."""

    name: str
    seen: Snapshot
    earliest: float | None
    """When the first of the due jobs comes due, in milliseconds of the server's clock."""
    memory: int | None
    """About so many bytes; None when nobody may ask."""

    @property
    def overdue(self) -> float:
        """Seconds since when a job is due that is not in line yet."""
        return 0.0 if self.earliest is None else max(self.seen.now - self.earliest, 0.0) / 1000

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        seen = self.seen
        ended = {name.value: seen.indexes[letter].size for letter, name in ENDED_STATES.items()}
        return {"pending": seen.pending, "scheduled": seen.due.size, "running": seen.leased.size, **ended}


def about_workers(workers: Sequence[WorkerInfo]) -> Finding:
    """Return how many workers are up."""
    running = sum(worker.running for worker in workers)
    slots = sum(worker.concurrency for worker in workers)
    text = (
        f"{len(workers)} up, with {slots} slots, {running} of them taken when last heard of"
        if workers
        else "none is up"
    )
    facts = {"workers": len(workers), "slots": slots, "running": running}
    advice = "" if workers else "start one: aioq worker MODULE:APP"
    return Finding(level=Level.OK if workers else Level.WARN, subject="workers", text=text, advice=advice, facts=facts)


def about_queue(facts: QueueFacts, workers: Sequence[WorkerInfo] | None) -> Iterable[Finding]:
    """Return how a queue stands; `workers` is None when it is not known who is up."""
    subject, counts = f"queue {facts.name}", facts.counts()
    figures: dict[str, int | float | str] = {**counts, "overdue": round(facts.overdue, 3)}
    if facts.memory is not None:
        figures["memory"] = facts.memory
    shown = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "empty"
    room = "" if facts.memory is None else f"; about {size(facts.memory)}"
    yield Finding(level=Level.OK, subject=subject, text=f"{shown}{room}", facts=figures)
    if counts["dead"]:
        yield Finding(
            level=Level.WARN,
            subject=subject,
            text=f"{counts['dead']:,} dead jobs are kept for somebody to look at",
            advice="see why with broker.list_dead_jobs, and put them back in line with broker.retry_job",
            facts={"dead": counts["dead"]},
        )
    waiting = counts["pending"] + counts["scheduled"]
    if waiting and workers is not None and not any(facts.name in worker.queues for worker in workers):
        yield Finding(
            level=Level.WARN,
            subject=subject,
            text=f"{waiting:,} jobs wait, and no worker that is up consumes the queue",
            advice=f"start one: aioq worker MODULE:APP -q {facts.name}",
            facts={"waiting": waiting},
        )
    elif facts.overdue > OVERDUE:
        yield Finding(
            level=Level.WARN,
            subject=subject,
            text=f"a job is due since {facts.overdue:,.0f} s and nobody has claimed it",
            advice="add workers, or look into the log of those that consume the queue",
            facts={"overdue": round(facts.overdue, 3)},
        )
