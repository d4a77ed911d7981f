"""Calls the function of a cron at the request of a user."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import anyio
from msgspec.structs import replace

from aioq.app import Aarq
from aioq.cli.changes import note_change
from aioq.cli.output import print_err
from aioq.clock import SteadyClock
from aioq.conformance import supports
from aioq.cron import CronEntry
from aioq.cron.manual import manual_worker_id
from aioq.errors import AioqError
from aioq.model.cron import TickReason, TickRecord, TickStatus
from aioq.protocols import TickLedger
from aioq.serialization.failure import describe, in_full
from aioq.worker.cron.invoke import CronRun, Invoker, RunEnd

__all__ = ["ManualRun", "RunOutcome", "note_firing"]

RECORD_TIMEOUT: Final = 5.0
"""Seconds to record the end of a run that is interrupted."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    record: TickRecord
    value: Any = None
    """What the function returned."""
    error: BaseException | None = None
    """What the function raised."""


async def note_firing(app: Aarq, entry: CronEntry, what: str, *, by: str, note: str) -> None:
    """Record that a person fires an entry. If that fails the entry is fired all the same."""
    try:
        await note_change(app, by, what, f"cron {entry.queue} {entry.name}", note)
    except AioqError as error:
        print_err(f"could not record who fires {entry.name}: {error}")


class ManualRun:
    """Calls the function of a cron within the app's lifespan, and records the runs.

    Args:
        app: The app, connected.
        entry: The cron.
        reason: The reason of the records.
        by: The person, for the records.
    """

    def __init__(self, app: Aarq, entry: CronEntry, reason: TickReason, *, by: str) -> None:
        self._app = app
        self._entry = entry
        self._reason = reason
        # Records have times of the broker: those of a host whose clock is wrong would be out of order.
        self._clock = SteadyClock()
        self._worker_id = manual_worker_id(by)
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
