"""A cron fired by hand: its function is called in this process, as a worker would call it."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import anyio
from msgspec.structs import replace

from aioq.app import Aarq
from aioq.cli.output import print_err
from aioq.cli.times import to_datetime
from aioq.clock import SteadyClock
from aioq.cron import CronEntry
from aioq.errors import AioqError, JobConflict
from aioq.model.cron import TickReason, TickRecord, TickStatus
from aioq.model.ids import tick_id
from aioq.model.job import NewJob
from aioq.protocols import Broker, TickLedger
from aioq.registry import in_thread, is_async
from aioq.serialization.failure import describe, in_full

__all__ = [
    "ManualRun",
    "RunOutcome",
    "EnqueuedTick",
    "time_between_ticks",
    "enqueue_ticks",
    "manual_worker_id",
    "tick_job",
    "user_at_host",
]

LAST_WORDS = 5.0
"""Seconds for the ledger to take down the end of a run that is being interrupted."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    record: TickRecord
    value: Any = None
    error: BaseException | None = None


class ManualRun:
    """Calls the function of one cron, within the app's lifespan, and writes down what becomes of it.

    Args:
        app: The app, connected.
        entry: What is fired.
        reason: What the ledger shows as the reason.
    """

    def __init__(self, app: Aarq, entry: CronEntry, reason: TickReason) -> None:
        self._app, self._entry, self._reason = app, entry, reason
        self._clock = SteadyClock()
        self._hand = manual_worker_id(user_at_host())
        self._shared: Mapping[str, Any] = {}

    @asynccontextmanager
    async def ready(self) -> AsyncGenerator[None]:
        """Go by the broker's clock, and keep the app's lifespan open."""
        self._clock.set(await self._app.broker.time())
        if self._app.lifespan is None:
            yield
            return
        async with self._app.lifespan(self._app) as shared:
            self._shared = shared or {}
            yield

    def now(self) -> datetime:
        """Return the moment by the broker's clock."""
        return to_datetime(self._clock.time())

    async def fire(self, tick: datetime) -> RunOutcome:
        """Call the function for a tick; what it raises is returned."""
        fired = self._begin(tick)
        await self._record(fired)
        try:
            value = await self._call(tick)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(LAST_WORDS, shield=True):
                await self._record(self._end(fired, "interrupted"))
            raise
        except BaseException as error:  # a function that raises SystemExit ends itself, not the command
            ended = self._end(fired, in_full(describe(error)))
            await self._record(ended)
            return RunOutcome(ended, error=error)
        ended = self._end(fired)
        await self._record(ended)
        return RunOutcome(ended, value=value)

    def _begin(self, tick: datetime) -> TickRecord:
        return TickRecord(
            name=self._entry.name,
            queue=self._entry.queue,
            tick=tick.timestamp(),
            status=TickStatus.FIRED,
            reason=self._reason,
            worker_id=self._hand,
            fired_at=self._clock.time(),
        )

    def _end(self, fired: TickRecord, error: str = "") -> TickRecord:
        status = TickStatus.FAILED if error else TickStatus.OK
        return replace(fired, status=status, finished_at=self._clock.time(), error=error)

    async def _call(self, tick: datetime) -> Any:
        entry, limit = self._entry, self._entry.options.timeout
        context = {
            **self._shared,
            "worker_id": self._hand,
            "broker": self._app.broker,
            "cron_name": entry.name,
            "scheduled_at": tick,
            "fired_at": self.now(),
        }
        call = partial(entry.function, context, *entry.args, **entry.kwargs)
        with anyio.move_on_after(limit) as scope:
            return await (call() if is_async(entry.function) else in_thread(call))
        if scope.cancelled_caught:
            raise TimeoutError(f"it did not end within its timeout of {limit:g} s")
        return None

    async def _record(self, record: TickRecord) -> None:
        """Write a record down where there is a ledger; the run matters more than the record."""
        if not isinstance(self._app.broker, TickLedger):
            return
        try:
            await self._app.broker.record_ticks([record])
        except AioqError as error:
            print_err(f"the ledger does not know that {record.name} is {record.status}: {error}")


MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueuedTick:
    """What became of the wish for the job of a tick."""

    tick: datetime
    job: NewJob
    new: bool
    """False when there was such a job before; it was left as it stood."""
    error: str = ""
    """Why there is no such job."""


def time_between_ticks(entry: CronEntry, moment: datetime) -> datetime:
    """Return a moment in whole milliseconds, about the one given, that is no tick of the entry."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    while entry.schedule.next_after(moment - MILLISECOND) == moment:
        moment += MILLISECOND
    return moment


def tick_job(entry: CronEntry, template: NewJob, tick: datetime) -> NewJob:
    """Return the job of a tick."""
    return replace(template, id=tick_id(entry.name, tick.timestamp()))


async def enqueue_ticks(
    broker: Broker, entry: CronEntry, template: NewJob, ticks: Sequence[datetime], *, reason: TickReason
) -> list[EnqueuedTick]:
    """Enqueue a job for each tick in one go, and write the new ones down where there is a ledger."""
    jobs = [tick_job(entry, template, tick) for tick in ticks]
    try:
        new = await broker.enqueue(jobs)
    except JobConflict as error:
        if len(jobs) == 1:
            text = f"{error.job_id} is known with another task or other arguments"
            return [EnqueuedTick(tick=ticks[0], job=jobs[0], new=False, error=text)]
        alone = [await enqueue_ticks(broker, entry, template, [tick], reason=reason) for tick in ticks]
        return [stored for (stored,) in alone]
    stored = [EnqueuedTick(tick=tick, job=job, new=is_new) for tick, job, is_new in zip(ticks, jobs, new, strict=True)]
    await _record(broker, entry, [one for one in stored if one.new], reason)
    return stored


async def _record(broker: Broker, entry: CronEntry, stored: Sequence[EnqueuedTick], reason: TickReason) -> None:
    if not isinstance(broker, TickLedger) or not stored:
        return
    now, hand = await broker.time(), manual_worker_id(user_at_host())
    await broker.record_ticks(
        [
            TickRecord(
                name=entry.name,
                queue=entry.queue,
                tick=one.tick.timestamp(),
                status=TickStatus.FIRED,
                reason=reason,
                worker_id=hand,
                fired_at=now,
                job_id=one.job.id,
            )
            for one in stored
        ]
    )


def user_at_host() -> str:
    """Return `user@host`."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container may have no name for its user
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def manual_worker_id(who: str) -> str:
    """Return the id under which a person's runs are recorded, where workers have theirs."""
    return re.sub(r"[^A-Za-z0-9_.@-]", "-", f"by-hand-{who}")[:200]
