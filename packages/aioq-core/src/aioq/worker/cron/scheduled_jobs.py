"""Jobs that were enqueued by a schedule: what they see, when they have to wait, how they ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aioq.app import Aarq
from aioq.clock import BrokerClock
from aioq.cron import CronOptions
from aioq.errors import BadSignature, SerializationError
from aioq.model.cron import CronKey, TickRecord, TickStatus
from aioq.model.ids import TICK_IDS
from aioq.model.job import Completed, Dead, Expired, Failed, Lease, Settlement
from aioq.model.states import FINAL_STATES
from aioq.protocols import JobStore, TickLedger
from aioq.serialization.failure import in_full, one_line
from aioq.task import Task
from aioq.worker.broker_retry import OUTAGES
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.run import REPLACED
from aioq.worker.log import extra, job_of, logger

__all__ = ["NotYet", "ScheduledJobs"]

AGAIN = 1.0
"""Seconds after which a job that has to wait for an earlier one is looked at again."""

LOOK_BACK = 100
"""Ticks among which an earlier job that goes on is looked for: as many as a ledger keeps."""


class NotYet(Exception):
    """A job has to wait: it is to be released, and claimed again after `AGAIN` seconds."""

    delay = AGAIN


class ScheduledJobs:
    """Knows jobs of schedules by their ids. Of others it is never asked."""

    def __init__(
        self, app: Aarq, worker_id: str, ledger: TickLedger | None, recorder: Recorder, clock: BrokerClock
    ) -> None:
        self._app, self._worker_id, self._ledger, self._recorder = app, worker_id, ledger, recorder
        self._clock = clock

    async def prepare(self, lease: Lease, task: Task[..., Any]) -> dict[str, Any]:
        """Return what the context of a job has beside that of others, once it may run.

        Raises:
            NotYet: An earlier run goes on, or the ledger cannot be asked.
        """
        found = _tick_of(lease.job_id)
        if self._ledger is None or found is None:
            return {}
        name, tick = found
        cron = CronKey(lease.queue, name)
        try:
            await self._keep_apart(self._ledger, cron, tick)
            success, result = await self._previous(self._ledger, cron, tick)
        except OUTAGES as error:
            raise NotYet from error
        return {
            "cron_name": name,
            "scheduled_at": datetime.fromtimestamp(tick, UTC),
            "previous_success": None if success is None else datetime.fromtimestamp(success, UTC),
            "previous_result": None if result is None else _decoded(lease, task, result),
        }

    def settled(self, settlement: Settlement) -> None:
        """Record how the tick of a job ended that has been settled for good."""
        lease = settlement.lease
        match settlement:
            case Completed(result=result):
                self._record(lease.job_id, lease.queue, fired_at=lease.enqueued_at, result=result)
            case Failed(failure=failure) | Expired(failure=failure):
                self._record(lease.job_id, lease.queue, fired_at=lease.enqueued_at, error=in_full(failure))
            case Dead(reason=reason, failure=failure):
                error = in_full(failure) if failure else f"the job is dead: {reason}"
                self._record(lease.job_id, lease.queue, fired_at=lease.enqueued_at, error=error)
            case _:
                pass

    async def _keep_apart(self, ledger: TickLedger, cron: CronKey, tick: float) -> None:
        """See to it that no job of an earlier tick goes on, where the entry does not allow that.

        With `skip` there is such a job when several ticks are made up for at once, or by hand.
        """
        store, overlap = self._app.broker, self._options(cron).overlap
        if overlap == "allow" or not isinstance(store, JobStore):
            return
        for record in await ledger.tick_history(cron, limit=LOOK_BACK):
            if record.tick >= tick or record.status is not TickStatus.FIRED or record.job_id is None:
                continue
            job = await store.get_job(record.job_id, queue=cron.queue)
            if job is None or job.state in FINAL_STATES:
                continue
            if overlap != "cancel":
                raise NotYet
            if await store.cancel_job(record.job_id, queue=cron.queue):
                self._record(record.job_id, cron.queue, fired_at=record.fired_at, error=REPLACED)

    async def _previous(self, ledger: TickLedger, cron: CronKey, tick: float) -> tuple[float | None, bytes | None]:
        """Return the latest tick before this one whose job completed, and what it returned."""
        status = await ledger.cron_status(cron)
        if status is None or status.last_success is None:
            return None, None
        if status.last_success < tick:
            return status.last_success, status.last_result
        # A job that runs once more, after a later one: what its predecessor returned is gone.
        history = await ledger.tick_history(cron)
        successes = (record.tick for record in history if record.status is TickStatus.OK and record.tick < tick)
        return next(successes, None), None

    def _options(self, cron: CronKey) -> CronOptions:
        """Return the policies of an entry; the default ones of one that this worker's app does not have."""
        entry = self._app.crons.get(cron.name)
        return entry.options if entry is not None and entry.key == cron else CronOptions()

    def _record(
        self, job_id: str, queue: str, *, fired_at: float | None, error: str = "", result: bytes | None = None
    ) -> None:
        found = _tick_of(job_id)
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


def _tick_of(job_id: str) -> tuple[str, float] | None:
    """Return entry and tick of a job; None when its id is none that a ledger has made."""
    name, _, milliseconds = job_id.removeprefix(TICK_IDS).rpartition(":")
    if not name or not milliseconds.lstrip("-").isdecimal():
        return None
    return name, int(milliseconds) / 1000


def _decoded(lease: Lease, task: Task[..., Any], result: bytes) -> Any:
    try:
        return task.result_reader(lease.job_id, lease.queue)(result)
    except (BadSignature, SerializationError) as error:
        why = one_line(str(error))
        logger.warning("%s does not see the previous result: %s", job_of(lease), why, extra=extra(lease))
        return None
