"""The operations of the broker on one job: how to prepare each, how to call it, and what it must answer.

The model of the lease protocol computes what a job is after an operation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aioq.errors import BrokerUnavailable
from aioq.model.job import (
    Completed,
    Dead,
    Expired,
    Failed,
    HandedBack,
    Lease,
    Reaped,
    Released,
    Retried,
    Settled,
    Settlement,
)
from aioq.model.states import JobState
from aioq.model.workers import WorkerInfo
from aioq_redis import RedisBroker
from aioq_redis.storage.scripts import load
from tests.contract.lease_model import CANCELLED, DEAD, DONE, LEASED, READY, Job, Rules, Run
from tests.redis.job_helpers import FAILURE, claim, job, let_pass, request

__all__ = ["OPERATIONS", "Operation"]

RULES = Rules()
PLACES = {
    JobState.PENDING: READY,
    JobState.SCHEDULED: READY,
    JobState.RETRYING: READY,
    JobState.RUNNING: LEASED,
    JobState.COMPLETED: DONE,
    JobState.FAILED: DONE,
    JobState.CANCELLED: CANCELLED,
    JobState.EXPIRED: DONE,
}
ME = WorkerInfo(id="w1", queues=("q",), concurrency=1, running=0, hostname="h", pid=1, started_at=0.0)
REAPED = Reaped(
    job_id="a", queue="q", task="tasks.work", worker_id="w1", crashed=True, crashes=1, state=JobState.PENDING
)

Seen = tuple[str, int, int]
"""Place, attempt and crashes of a job."""


@dataclass(frozen=True)
class Operation:
    """One call of the broker.

    Attributes:
        script: The script that does it.
        prepare: Brings job `a` into the state that the call needs, and returns what it needs to know.
        call: Makes the call.
        answers: The allowed answers to a call that is repeated until it succeeds.
        before, after: The job in the model, before and after the call.
    """

    name: str
    script: str
    prepare: Callable[[RedisBroker], Awaitable[Any]]
    call: Callable[[RedisBroker, Any], Awaitable[Any]]
    answers: tuple[Any, ...]
    before: Job | None
    after: Job

    atomic = True

    @property
    def word(self) -> bytes:
        """A part of the command that is in no other command."""
        return load(self.script).sha.encode()

    @property
    def seen_before(self) -> Seen | None:
        """What `seen` returns before it."""
        return _view(self.before)

    @property
    def seen_after(self) -> Seen | None:
        """What `seen` returns after it."""
        return _view(self.after)

    @property
    def leaves_work(self) -> bool:
        """Whether the job can be claimed after it."""
        return self.after.place == READY

    @staticmethod
    async def seen(broker: RedisBroker) -> Seen | None:
        """Return what the model knows of the job as it really is."""
        record = await broker.get_job("a", queue="q")
        if record is None:
            return None
        dead = DEAD if record.reason == "crashed" else DONE
        return PLACES.get(record.state, dead), record.attempt, record.crashes


async def nothing(broker: RedisBroker) -> None:
    """Make the queue known with a job that is not due, so that the operation sends nothing else."""
    await broker.enqueue([job("other", delay=600.0)])


async def pending(broker: RedisBroker) -> None:
    """Enqueue the job."""
    await broker.enqueue([job("a")])


async def leased(broker: RedisBroker) -> Lease:
    """Claim the job."""
    await pending(broker)
    (lease,) = await claim(broker, 1)
    return lease


async def expired(broker: RedisBroker) -> None:
    """Claim the job, and let the lease run out."""
    await pending(broker)
    await claim(broker, 1, lease=0.001)
    await let_pass(broker, 0.005)


async def cancelled(broker: RedisBroker) -> None:
    """Cancel the job."""
    await pending(broker)
    await broker.cancel_job("a", queue="q")


async def claim_it(broker: RedisBroker, _: object) -> list[tuple[str, int]]:
    """Claim, as one request."""
    return [(lease.job_id, lease.epoch) for lease in (await broker.claim(request(5))).leases]


async def awaited(broker: RedisBroker) -> None:
    """Enqueue the job after a worker has found nothing, and before it waits."""
    await claim(broker)
    await pending(broker)


async def await_it(broker: RedisBroker, _: object) -> list[tuple[str, int]]:
    """Wait and claim, as one request."""
    claimed = await broker.wait_and_claim(request(5), timeout=0.3)
    return [(lease.job_id, lease.epoch) for lease in claimed.leases]


async def extend_in_thread(broker: RedisBroker, lease: Lease) -> list[Lease]:
    """Extend from a thread, and again until it succeeds, as the worker's thread does."""
    keeper = broker.keeper()
    try:
        while True:
            try:
                return await asyncio.to_thread(lambda: keeper.extend([lease], seconds=60))
            except BrokerUnavailable:
                continue
    finally:
        keeper.close()


async def look(broker: RedisBroker, _: object) -> str:
    """Read the record of the job."""
    record = await broker.get_job("a", queue="q")
    return "" if record is None else record.id


async def greet(broker: RedisBroker, _: object) -> list[str]:
    """Register a worker, and list the workers."""
    await broker.heartbeat(ME, ttl=60)
    return [worker.id for worker in await broker.list_workers()]


def settling(name: str, settlement: Callable[[Lease], Settlement], after: Job | None) -> Operation:
    """Return the operation that ends an attempt with a settlement."""

    async def settle(broker: RedisBroker, lease: Lease) -> list[Settled]:
        return await broker.settle([settlement(lease)])

    assert after is not None
    return Operation(name, "settle", leased, settle, ([Settled.DONE],), RUNNING, after)


def made(job: Job | None) -> Job:
    """Assert that the model allows a step."""
    assert job is not None
    return job


RUNNING = RULES.claim(Job(), "w1")
RUN = Run("w1", 1)
LATE = RUNNING._replace(fresh=False)
OPERATIONS = [
    Operation("enqueue", "enqueue_one", nothing, lambda b, _: b.enqueue([job("a")]), ([True], [False]), None, Job()),
    Operation(
        "enqueue several", "enqueue", nothing, lambda b, _: b.enqueue([job("a"), job("other", delay=600.0)]),
        ([True, False], [False, False]), None, Job(),
    ),
    Operation("claim", "claim", pending, claim_it, ([("a", 1)],), Job(), RUNNING),
    Operation("wait and claim", "claim", awaited, await_it, ([("a", 1)],), Job(), RUNNING),
    Operation(
        "extend", "extend", leased, lambda b, lease: b.extend([lease], seconds=60), ([],), RUNNING,
        made(RULES.extend(RUNNING, RUN)),
    ),
    Operation("extend from a thread", "extend", leased, extend_in_thread, ([],), RUNNING, made(RULES.extend(RUNNING, RUN))),
    settling("complete", lambda lease: Completed(lease=lease, result=b"1", retain_for=60), RULES.complete(RUNNING, RUN)),
    settling("fail", lambda lease: Failed(lease=lease, failure=FAILURE, retain_for=60), RULES.complete(RUNNING, RUN)),
    settling("mark dead", lambda lease: Dead(lease=lease, reason="malformed"), RULES.complete(RUNNING, RUN)),
    settling("expire", lambda lease: Expired(lease=lease, failure=FAILURE), RULES.complete(RUNNING, RUN)),
    settling("retry", lambda lease: Retried(lease=lease, delay=0, failure=FAILURE), RULES.retry(RUNNING, RUN)),
    settling(
        "hand back", lambda lease: HandedBack(lease=lease, delay=0, failure=FAILURE), RULES.hand_back(RUNNING, RUN)
    ),
    settling("release", lambda lease: Released(lease=lease), RULES.release(RUNNING, RUN)),
    Operation(
        "reap", "reap", expired, lambda b, _: b.reap(["q"]),
        ([], [REAPED]), LATE, made(RULES.reap(LATE)),
    ),
    Operation(
        "cancel_job", "cancel", pending, lambda b, _: b.cancel_job("a", queue="q"), (True,), Job(),
        made(RULES.cancel(Job())),
    ),
    Operation(
        "retry_job", "retry_job", cancelled, lambda b, _: b.retry_job("a", queue="q"), (True,),
        made(RULES.cancel(Job())), Job(),
    ),
    Operation("get_job", "get_jobs", pending, look, ("a",), Job(), Job()),
    Operation("heartbeat", "heartbeat", pending, greet, (["w1"],), Job(), Job()),
]  # fmt: skip


def _view(job: Job | None) -> Seen | None:
    return job and (job.place, job.attempt, job.crashes)
