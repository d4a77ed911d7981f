"""Operations on queues, failures, changes and counts: how to prepare each, how to call it, and what must come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from aioq.model.changes import Change
from aioq.model.job import Failed
from aioq.model.states import JobState
from aioq.model.statistics import Count, JobOutcome, Step
from aioq_redis import RedisBroker
from aioq_redis.storage.scripts import load
from tests.redis.job_helpers import FAILURE, claim, job

__all__ = ["CONTROL_OPERATIONS", "ControlOperation"]

TASK = "tasks.work"
CHANGE = Change(at=1.0, by="ada", what="pause", subject="queue q")


class State(NamedTuple):
    """What these operations change."""

    stops: str = ""
    """What is paused and stopped, with the notes."""
    pending: int = 0
    failures: int = 0
    changes: int = 0
    counted: int = 0


@dataclass(frozen=True)
class ControlOperation:
    """One call of the broker; see `Operation`."""

    name: str
    script: str
    prepare: Callable[[RedisBroker], Awaitable[Any]]
    call: Callable[[RedisBroker, Any], Awaitable[Any]]
    answers: tuple[Any, ...]
    seen_before: State
    seen_after: State
    leaves_work: bool = False
    atomic: bool = True

    @property
    def word(self) -> bytes:
        """What is in the command, and in no other."""
        return load(self.script).sha.encode()

    @staticmethod
    async def seen(broker: RedisBroker) -> State:
        """Return what is stored."""
        counts = await broker.read_counts(step=Step.HOUR, start=0, end=1e11)
        return State(
            stops=" ".join(f"{stop.task or 'queue'}:{stop.note}" for stop in await broker.list_stops()),
            pending=len(await broker.list_jobs("q", JobState.PENDING)),
            failures=len(await broker.list_failures("q")),
            changes=len(await broker.list_changes()),
            counted=sum(count.count for count in counts),
        )


async def waiting(broker: RedisBroker) -> None:
    """Enqueue two jobs."""
    await broker.enqueue([job("a"), job("b")])


async def paused(broker: RedisBroker) -> None:
    """Pause the queue."""
    await waiting(broker)
    await broker.pause_queue("q", note="why", by="ada")


async def stopped(broker: RedisBroker) -> None:
    """Stop the task, and let a claim set its jobs aside."""
    await waiting(broker)
    await broker.stop_task(TASK, queue="q", note="why", by="ada")
    assert await claim(broker) == []


async def failed(broker: RedisBroker) -> list[str]:
    """Let both jobs fail; return the ids of the failures."""
    await waiting(broker)
    await broker.settle([Failed(lease=lease, failure=FAILURE, retain_for=60) for lease in await claim(broker)])
    return [record.failure_id for record in await broker.list_failures("q")]


async def later(broker: RedisBroker) -> None:
    """Enqueue a job that is not due."""
    await broker.enqueue([job("a", delay=600.0)])


async def changed(broker: RedisBroker) -> None:
    """Record a change."""
    await broker.note_change(CHANGE)


async def now_count(broker: RedisBroker) -> Count:
    """Return a count of the running minute."""
    start = int(await broker.time()) // 60 * 60
    return Count(queue="q", task=TASK, outcome=JobOutcome.COMPLETED, start=start, count=3)


async def add_counts(broker: RedisBroker, count: Count) -> bool:
    """Make one report."""
    return await broker.add_counts([count], reporter="process", number=1) > 0


async def states(broker: RedisBroker, state: JobState) -> list[str]:
    """Return the ids of the jobs in a state."""
    return sorted(record.id for record in await broker.list_jobs("q", state))


async def look_at_failures(broker: RedisBroker, _: object) -> int:
    """Return how many failures are listed."""
    return len(await broker.list_failures("q"))


async def groups(broker: RedisBroker, _: object) -> list[int]:
    """Return the number of failures of each cause."""
    return [group.count for group in await broker.failure_groups("q")]


async def figures(broker: RedisBroker, _: object) -> list[tuple[int, int]]:
    """Return the pending and scheduled jobs of each queue."""
    return [(stats.pending, stats.scheduled) for stats in await broker.queue_stats()]


TWO = State(pending=2)
PAUSED = State("queue:why", pending=2)
STOPPED = State(f"{TASK}:why", pending=2)
FAILED = State(failures=2)
CONTROL_OPERATIONS = [
    ControlOperation(
        "pause_queue", "pause_queue", waiting, lambda b, _: b.pause_queue("q", note="why", by="ada"), (True,), TWO, PAUSED
    ),
    ControlOperation(
        "pause_queue again", "pause_queue", paused, lambda b, _: b.pause_queue("q", note="new", by="ada"), (False,),
        PAUSED, PAUSED._replace(stops="queue:new"),
    ),
    ControlOperation(
        "resume_queue", "resume_queue", paused, lambda b, _: b.resume_queue("q"), (True,), PAUSED, TWO, leaves_work=True
    ),
    ControlOperation(
        "stop_task", "stop_task", waiting, lambda b, _: b.stop_task(TASK, queue="q", note="why", by="ada"), (True,),
        TWO, STOPPED,
    ),
    ControlOperation(
        "restore_task", "restore_task", stopped, lambda b, _: b.restore_task(TASK, queue="q"), (True,), STOPPED, TWO,
        leaves_work=True,
    ),
    ControlOperation(
        "replay_failures", "replay_failures", failed, lambda b, ids: b.replay_failures(ids, queue="q"), ([True, True],),
        FAILED, TWO, leaves_work=True,
    ),
    ControlOperation(
        # The first of two calls may have removed them.
        "dismiss_failures", "dismiss_failures", failed, lambda b, ids: b.dismiss_failures(ids, queue="q"), (2, 0),
        FAILED, State(),
    ),
    ControlOperation("list_failures", "list_failures", failed, look_at_failures, (2,), FAILED, FAILED),
    ControlOperation("failure_groups", "failure_groups", failed, groups, ([2],), FAILED, FAILED),
    ControlOperation(
        "note_change", "note_change", changed, lambda b, _: b.note_change(CHANGE), (None,), State(changes=1),
        State(changes=2),
    ),
    ControlOperation("add_counts", "add_counts", now_count, add_counts, (True,), State(), State(counted=3)),
    ControlOperation(
        "list pending jobs", "list_ready", stopped, lambda b, _: states(b, JobState.PENDING), (["a", "b"],), STOPPED,
        STOPPED,
    ),
    ControlOperation(
        "list scheduled jobs", "list_due", later, lambda b, _: states(b, JobState.SCHEDULED), (["a"],), State(), State()
    ),
    ControlOperation("queue_stats", "stats", stopped, figures, ([(2, 0)],), STOPPED, STOPPED),
]  # fmt: skip
