"""Extends the context of jobs that schedules enqueued, applies their overlap policy, and records their end."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any, assert_never

from aioq.app import Aarq
from aioq.clock import BrokerClock
from aioq.conformance import supports
from aioq.cron import CronEntry, CronOptions
from aioq.cron.zones import zone_named
from aioq.errors import BadSignature, SerializationError
from aioq.events import JobEvent, JobFact
from aioq.model.cron import CronKey, CronStatus, TickRecord, TickStatus
from aioq.model.ids import read_tick_id, tick_id
from aioq.model.job import (
    Completed,
    Dead,
    Expired,
    Failed,
    HandedBack,
    LatestSuccess,
    Lease,
    Released,
    Retried,
    Settlement,
)
from aioq.model.states import FINAL_STATES
from aioq.protocols import JobStore, TickLedger
from aioq.serialization.failure import in_full, one_line
from aioq.task import Task
from aioq.worker.broker_retry import OUTAGES
from aioq.worker.cron.invoke import REPLACED
from aioq.worker.cron.recorder import Recorder
from aioq.worker.log import extra, job_of, logger

__all__ = ["JobNotReady", "ScheduledJobs"]

RETRY_DELAY = 1.0
"""Seconds after which a job that has to wait for an earlier one is claimed again."""

FRESH = 0.1
"""Seconds after the claim of a tick for which its job is taken to know the latest success of its entry."""

HISTORY_LIMIT = 100
"""Records that are searched for an earlier job that has not ended: as many as a ledger keeps."""


class JobNotReady(Exception):
    """A job has to wait: the worker releases it, and claims it again after `delay` seconds."""

    delay = RETRY_DELAY


class ScheduledJobs:
    """Finds out by its id which tick a job belongs to. The runner asks for jobs of schedules only."""

    def __init__(
        self, app: Aarq, worker_id: str, ledger: TickLedger | None, recorder: Recorder, clock: BrokerClock
    ) -> None:
        self._app = app
        self._worker_id = worker_id
        self.ledger = ledger
        self._recorder = recorder
        self._clock = clock

    async def prepare(self, lease: Lease, task: Task[..., Any]) -> dict[str, Any]:
        """Return what a schedule adds to the context of its job, if the job may run now.

        Raises:
            JobNotReady: An earlier run goes on, or the ledger does not answer.
        """
        found = read_tick_id(lease.job_id)
        if self.ledger is None or found is None:
            return {}
        name, tick = found
        cron = CronKey(lease.queue, name)
        if (known := self._known_at_claim(cron, lease)) is not None:
            return self._context(lease, task, tick, known, self._zone(cron, None))
        try:
            status = await self.ledger.cron_status(cron)
            await self._apply_overlap(self.ledger, cron, tick, self._overlap(cron, status))
            success = await _previous(self.ledger, status, cron, tick)
        except OUTAGES as error:
            # Without its context the job does not run: `previous_success` may decide which data it processes.
            raise JobNotReady from error
        return self._context(lease, task, tick, success, self._zone(cron, status))

    def _known_at_claim(self, cron: CronKey, lease: Lease) -> LatestSuccess | None:
        """Return the latest success that came with the lease, if it still holds and nothing else is to be asked.

        It is as old as the job. A job that has waited for a while may run after that of an earlier tick has completed.
        """
        entry = self._own_entry(cron)
        if lease.latest_success is None or entry is None or entry.options.overlap != "allow":
            return None
        return lease.latest_success if self._clock.time() - lease.enqueued_at < FRESH else None

    def _context(
        self, lease: Lease, task: Task[..., Any], tick: float, success: LatestSuccess, zone: tzinfo
    ) -> dict[str, Any]:
        name, _ = read_tick_id(lease.job_id) or ("", 0.0)
        before, result = success.tick, success.result
        return {
            "cron_name": name,
            "scheduled_at": datetime.fromtimestamp(tick, zone),
            "previous_success": None if before is None else datetime.fromtimestamp(before, zone),
            "previous_result": None if result is None or before is None else _decode(lease, task, before, result),
        }

    def settled(self, settlement: Settlement) -> None:
        """Record the end of the tick of a job that was settled for good. A retry does not end it."""
        lease = settlement.lease
        match settlement:
            case Completed(result=result):
                self._record(lease.job_id, lease.queue, fired_at=lease.enqueued_at, result=result)
            case Failed(failure=failure) | Expired(failure=failure):
                self._record(lease.job_id, lease.queue, fired_at=lease.enqueued_at, error=in_full(failure))
            case Dead(reason=reason, failure=failure):
                error = in_full(failure) if failure else f"the job is dead: {reason}"
                self._record(lease.job_id, lease.queue, fired_at=lease.enqueued_at, error=error)
            case Retried() | Released() | HandedBack():
                pass  # the job runs again
            case _:
                assert_never(settlement)

    async def _apply_overlap(self, ledger: TickLedger, cron: CronKey, tick: float, overlap: str) -> None:
        """Cancel or wait for jobs of earlier ticks, unless the entry allows that they overlap.

        The ledger has applied the policy when the tick was claimed. It may still enqueue
        several jobs at once to make up for several ticks, and operators enqueue jobs by hand.
        """
        store = self._app.broker
        if overlap == "allow" or not supports(store, JobStore):
            return
        for record in await ledger.tick_history(cron, limit=HISTORY_LIMIT):
            # Only earlier ticks: a job waits for those before it, or two would wait for each other.
            if record.tick >= tick or record.status is not TickStatus.FIRED or record.job_id is None:
                continue
            job = await store.get_job(record.job_id, queue=cron.queue)
            if job is None or job.state in FINAL_STATES:
                continue  # it has ended, and its worker has not recorded that yet
            if overlap != "cancel":
                raise JobNotReady
            # The worker that ran the cancelled job settles nothing, so its end is recorded here.
            if await store.cancel_job(record.job_id, queue=cron.queue):
                self._tell_cancelled(record.job_id, job.task, cron)
                self._record(record.job_id, cron.queue, fired_at=record.fired_at, error=REPLACED)

    def _tell_cancelled(self, job_id: str, task: str, cron: CronKey) -> None:
        if JobEvent.CANCELLED in self._app.events.listeners:
            fact = JobFact(
                event=JobEvent.CANCELLED, job_id=job_id, queue=cron.queue, task=task, at=self._clock.time(),
                by=f"schedule {cron.name}",
            )  # fmt: skip
            self._app.events.fire(fact)

    def _overlap(self, cron: CronKey, status: CronStatus | None) -> str:
        """Return the overlap policy of an entry; if this worker's app does not have it, that which is registered."""
        if (entry := self._own_entry(cron)) is not None:
            return entry.options.overlap
        return CronOptions().overlap if status is None else status.definition.options.get("overlap", "allow")

    def _zone(self, cron: CronKey, status: CronStatus | None) -> tzinfo:
        """Return the zone of an entry; if this worker's app does not have the entry, that which is registered."""
        if (entry := self._own_entry(cron)) is not None:
            return entry.zone
        return UTC if status is None else zone_named(status.definition.tz)

    def _own_entry(self, cron: CronKey) -> CronEntry | None:
        entry = self._app.crons.get(cron.name)
        return entry if entry is not None and entry.key == cron else None

    def _record(
        self, job_id: str, queue: str, *, fired_at: float | None, error: str = "", result: bytes | None = None
    ) -> None:
        found = read_tick_id(job_id)
        if found is not None:
            record = TickRecord(
                name=found[0],
                queue=queue,
                tick=found[1],
                status=TickStatus.FAILED if error else TickStatus.OK,
                worker_id=self._worker_id,
                fired_at=fired_at,
                finished_at=self._clock.time(),
                error=error,
                job_id=job_id,
                result=result,
            )
            self._recorder.add(record)


async def _previous(ledger: TickLedger, status: CronStatus | None, cron: CronKey, tick: float) -> LatestSuccess:
    """Return the latest tick before this one whose job completed, and what it returned."""
    if status is None or status.last_success is None:
        return LatestSuccess(tick=None)
    if status.last_success < tick:
        return LatestSuccess(tick=status.last_success, result=status.last_result)
    # This job runs again after a later one: the ledger keeps the result of the latest success only.
    history = await ledger.tick_history(cron)
    successes = (record.tick for record in history if record.status is TickStatus.OK and record.tick < tick)
    return LatestSuccess(tick=next(successes, None))


def _decode(lease: Lease, task: Task[..., Any], tick: float, result: bytes) -> Any:
    """Return the result of the job of an earlier tick, which is signed as the result of that tick."""
    name, _ = read_tick_id(lease.job_id) or ("", 0.0)
    try:
        return task.result_decoder(tick_id(name, tick), lease.queue)(result)
    except (BadSignature, SerializationError) as error:
        why = one_line(str(error))
        logger.warning(
            "%s does not see the previous result: %s",
            job_of(lease),
            why,
            extra=extra("previous_result_unreadable", lease),
        )
        return None
