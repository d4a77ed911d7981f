"""Checks that a broker makes exactly the transitions of the table in `aioq.model.states`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aioq.model.job import Completed, Dead, Expired, Failed, Lease, Released, Retried, Settlement
from aioq.model.states import TRANSITIONS, JobState, Verb
from aioq.protocols import Broker, JobStore
from aioq.testing.contracts.suite import FAILURE, BrokerSuite

__all__ = ["TransitionContract"]

LONG = 1000.0
"""Seconds that no test waits for."""

TABLE = {(row.source, row.verb): row.target for row in TRANSITIONS}

SETTLEMENTS: dict[Verb, Callable[[Lease], Settlement]] = {
    Verb.COMPLETE: lambda lease: Completed(lease=lease, retain_for=LONG),
    Verb.RETRY: lambda lease: Retried(lease=lease, delay=LONG, failure=FAILURE),
    Verb.FAIL: lambda lease: Failed(lease=lease, failure=FAILURE, retain_for=LONG),
    Verb.RELEASE: lambda lease: Released(lease=lease),
    Verb.POSTPONE: lambda lease: Released(lease=lease, delay=LONG),
    Verb.MARK_DEAD: lambda lease: Dead(lease=lease, reason="malformed"),
    Verb.EXPIRE: lambda lease: Expired(lease=lease, failure=FAILURE),
}

INTO: dict[JobState, Verb] = {
    JobState.COMPLETED: Verb.COMPLETE,
    JobState.RETRYING: Verb.RETRY,
    JobState.FAILED: Verb.FAIL,
    JobState.DEAD: Verb.MARK_DEAD,
    JobState.EXPIRED: Verb.EXPIRE,
}
"""The settlement that brings a running job into a state."""


class TransitionContract(BrokerSuite):
    """Every verb in every state; a part of the suite for `aioq.protocols.JobStore`."""

    @pytest.mark.parametrize("state", JobState)
    async def test_state_allows_only_the_verbs_of_the_table(self, broker: Broker, state: JobState) -> None:
        """A verb moves a job to the state that the table names; a verb that is not in the table changes nothing."""
        assert isinstance(broker, JobStore)
        for verb in Verb:
            # A queue for each pair, so that no claim finds the job of another one.
            queue = f"{state}-{verb}".replace(" ", "-")
            lease = await self._bring(broker, queue, state, waits=self.tick if verb is Verb.DUE else LONG)
            await self._apply(broker, queue, verb, lease)
            record = await broker.get_job(lease.job_id, queue=queue)
            assert record is not None
            assert (verb, record.state) == (verb, self._expected(state, verb))

    @staticmethod
    def _expected(state: JobState, verb: Verb) -> JobState:
        # A broker may notice that a job is due only when the next worker claims, so these two go together.
        if verb is Verb.DUE:
            state = TABLE.get((state, verb), state)
            verb = Verb.CLAIM
        return TABLE.get((state, verb), state)

    async def _bring(self, broker: Broker, queue: str, state: JobState, *, waits: float) -> Lease:
        """Enqueue a job and bring it into a state; return its latest lease, or one that no broker has given out."""
        job = self.job(f"{queue}-job", queue=queue, delay=waits if state is JobState.SCHEDULED else 0.0)
        await broker.enqueue([job])
        # No lease exists, so what a worker might do has to fail with an invented one.
        if state in (JobState.PENDING, JobState.SCHEDULED):
            return Lease(
                job_id=job.id, queue=queue, epoch=1, worker_id="w1", task=job.task, payload=job.payload, attempt=1,
                crashes=0, priority=job.priority, enqueued_at=await broker.time(),
            )  # fmt: skip
        # Long enough for a slow store to come to the verb, and short enough to run out for a reap.
        (lease,) = await self.claim(broker, 1, queues=(queue,), lease=self.tick * 5)
        if state is JobState.CANCELLED:
            assert isinstance(broker, JobStore)
            assert await broker.cancel_job(job.id, queue=queue)
        elif state is JobState.RETRYING:
            await broker.settle([Retried(lease=lease, delay=waits, failure=FAILURE)])
        elif state is not JobState.RUNNING:
            await broker.settle([SETTLEMENTS[INTO[state]](lease)])
        return lease

    async def _apply(self, broker: Broker, queue: str, verb: Verb, lease: Lease) -> None:
        assert isinstance(broker, JobStore)
        if verb in SETTLEMENTS:
            await broker.settle([SETTLEMENTS[verb](lease)])
        elif verb is Verb.CANCEL:
            await broker.cancel_job(lease.job_id, queue=queue)
        elif verb is Verb.REPLAY:
            await broker.retry_job(lease.job_id, queue=queue)
        elif verb is Verb.REAP:
            await self.pass_time(self.tick * 6)
            await broker.reap([queue])
        else:
            if verb is Verb.DUE:
                await self.pass_time(self.tick * 1.5)
            await self.claim(broker, queues=(queue,))
