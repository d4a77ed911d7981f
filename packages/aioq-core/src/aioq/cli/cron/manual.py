"""Fires an entry at the request of a user: calls the function of a cron, or enqueues the jobs of a schedule."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
from msgspec.structs import replace

from aioq.app import Aarq
from aioq.cli.changes import user_at_host
from aioq.cli.output import print_err
from aioq.clock import SteadyClock
from aioq.conformance import supports
from aioq.cron import CronEntry
from aioq.errors import AioqError, JobConflict
from aioq.model.cron import TickReason, TickRecord, TickStatus
from aioq.model.ids import tick_id
from aioq.model.job import NewJob
from aioq.protocols import Broker, TickLedger
from aioq.serialization.failure import describe, in_full
from aioq.worker.cron.invoke import CronRun, Invoker, RunEnd

__all__ = [
    "EnqueuedTick",
    "ManualRun",
    "RunOutcome",
    "enqueue_ticks",
    "manual_worker_id",
    "time_between_ticks",
]

RECORD_TIMEOUT: Final = 5.0
"""Seconds to record the end of a run that is interrupted."""

MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    record: TickRecord
    value: Any = None
    """What the function returned."""
    error: BaseException | None = None
    """What the function raised."""


class ManualRun:
    """Calls the function of a cron within the app's lifespan, and records the runs.

    Args:
        app: The app, connected.
        entry: The cron.
        reason: The reason of the records.
    """

    def __init__(self, app: Aarq, entry: CronEntry, reason: TickReason) -> None:
        self._app = app
        self._entry = entry
        self._reason = reason
        # Records have times of the broker: those of a host whose clock is wrong would be out of order.
        self._clock = SteadyClock()
        self._worker_id = manual_worker_id(user_at_host())
        self._invoker = Invoker(app, self._worker_id, self._clock)

    @asynccontextmanager
    async def ready(self) -> AsyncGenerator[None]:
        """Read the broker's clock, and open the app's lifespan until the block ends."""
        self._clock.set(await self._app.broker.time())
        if self._app.lifespan is None:
            yield
            return
        async with self._app.lifespan(self._app) as shared:
            self._invoker.shared = shared or {}
            yield

    def now(self) -> datetime:
        """Return the time of the broker's clock."""
        return datetime.fromtimestamp(self._clock.time(), UTC)

    async def fire(self, tick: datetime) -> RunOutcome:
        """Call the function for a tick; return what it returns or raises."""
        fired = self._begin(tick)
        # Before the call: if the function kills this process, the ledger shows that it was fired.
        await self._record(fired)
        try:
            end = await self._invoke(tick)
        except anyio.get_cancelled_exc_class():
            # Shielded, because the cancellation would end the call that records it.
            with anyio.move_on_after(RECORD_TIMEOUT, shield=True):
                await self._record(self._end(fired, "interrupted"))
            raise
        ended = self._end(fired, "" if end.error is None else in_full(describe(end.error)))
        await self._record(ended)
        return RunOutcome(ended, value=end.value, error=end.error)

    async def _invoke(self, tick: datetime) -> RunEnd:
        """Call the function in a task of its own.

        Ctrl-C cancels the main task of asyncio, outside all cancel scopes. The task group turns that
        into a cancellation that the invoker can tell from one that the function raises by itself.
        """
        end = RunEnd()

        async def invoke() -> None:
            nonlocal end
            end = await self._invoker.invoke(CronRun(self._entry, tick))

        async with anyio.create_task_group() as tg:
            tg.start_soon(invoke)
        return end

    def _begin(self, tick: datetime) -> TickRecord:
        return TickRecord(
            name=self._entry.name,
            queue=self._entry.queue,
            tick=tick.timestamp(),
            status=TickStatus.FIRED,
            reason=self._reason,
            worker_id=self._worker_id,
            fired_at=self._clock.time(),
        )

    def _end(self, fired: TickRecord, error: str = "") -> TickRecord:
        status = TickStatus.FAILED if error else TickStatus.OK
        return replace(fired, status=status, finished_at=self._clock.time(), error=error)

    async def _record(self, record: TickRecord) -> None:
        """Record a run if there is a ledger. If that fails the run goes on, because it matters more than its record."""
        if not supports(self._app.broker, TickLedger):
            return
        try:
            await self._app.broker.record_ticks([record])
        except AioqError as error:
            print_err(f"could not record that {record.name} is {record.status}: {error}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueuedTick:
    """The result of enqueueing the job of one tick."""

    tick: datetime
    job: NewJob
    new: bool
    """False if the tick had a job already, which is unchanged."""
    error: str = ""
    """Why the job could not be enqueued."""


def time_between_ticks(entry: CronEntry, time: datetime) -> datetime:
    """Return `time` in whole milliseconds, or the next millisecond that is not a tick of the entry.

    A job that a user enqueues must not have the id of a tick, or the tick would get no job of its own.
    """
    time = time.replace(microsecond=time.microsecond // 1000 * 1000)
    while entry.schedule.next_after(time - MILLISECOND) == time:
        time += MILLISECOND
    return time


async def enqueue_ticks(
    broker: Broker, entry: CronEntry, template: NewJob, ticks: Sequence[datetime], *, reason: TickReason
) -> list[EnqueuedTick]:
    """Enqueue a job for each tick in one call, and record the new ones if there is a ledger."""
    jobs = [replace(template, id=tick_id(entry.name, tick.timestamp())) for tick in ticks]
    if entry.sign is not None:
        jobs = [entry.sign(job) for job in jobs]
    try:
        new = await broker.enqueue(jobs)
    except JobConflict as error:
        if len(jobs) == 1:
            text = f"job {error.job_id} exists with another task or other arguments"
            return [EnqueuedTick(tick=ticks[0], job=jobs[0], new=False, error=text)]
        # A call stores all jobs or none: repeat it for each tick, so that the others are stored.
        alone = [await enqueue_ticks(broker, entry, template, [tick], reason=reason) for tick in ticks]
        return [enqueued for (enqueued,) in alone]
    enqueued = [
        EnqueuedTick(tick=tick, job=job, new=is_new) for tick, job, is_new in zip(ticks, jobs, new, strict=True)
    ]
    # A known job has a record of its own, which this one would replace.
    await _record_jobs(broker, entry, [one for one in enqueued if one.new], reason)
    return enqueued


async def _record_jobs(broker: Broker, entry: CronEntry, enqueued: Sequence[EnqueuedTick], reason: TickReason) -> None:
    ledger = broker
    if not supports(ledger, TickLedger) or not enqueued:
        return
    now = await broker.time()
    worker_id = manual_worker_id(user_at_host())
    records = [
        TickRecord(
            name=entry.name,
            queue=entry.queue,
            tick=one.tick.timestamp(),
            status=TickStatus.FIRED,
            reason=reason,
            worker_id=worker_id,
            fired_at=now,
            job_id=one.job.id,
        )
        for one in enqueued
    ]
    await ledger.record_ticks(records)


def manual_worker_id(user: str) -> str:
    """Return the worker id under which runs of a user are recorded."""
    return re.sub(r"[^A-Za-z0-9_.@-]", "-", f"by-hand-{user}")[:200]
