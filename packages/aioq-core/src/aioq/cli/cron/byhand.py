"""A cron fired by hand: its function is called in this process, as a worker would call it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import anyio
from msgspec.structs import replace

from aioq.app import Aarq
from aioq.cli.moments import at
from aioq.cli.person import hand_of, person
from aioq.cli.say import complain
from aioq.clock import SteadyClock
from aioq.cron import CronEntry
from aioq.errors import AioqError
from aioq.failure import describe, in_full
from aioq.functions import in_thread, is_async
from aioq.protocols import TickLedger
from aioq.ticks import TickRecord, TickStatus

__all__ = ["ByHand", "Ended"]

LAST_WORDS = 5.0
"""Seconds for the ledger to take down the end of a run that is being interrupted."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    record: TickRecord
    value: Any = None
    error: BaseException | None = None


class ByHand:
    """Calls the function of one cron, within the app's lifespan, and writes down what becomes of it.

    Args:
        app: The app, connected.
        entry: What is fired.
        why: What the ledger shows as the reason.
    """

    def __init__(self, app: Aarq, entry: CronEntry, why: str) -> None:
        self._app, self._entry, self._why = app, entry, why
        self._clock = SteadyClock()
        self._hand = hand_of(person())
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
        return at(self._clock.time())

    async def fire(self, tick: datetime) -> Ended:
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
            return Ended(ended, error=error)
        ended = self._end(fired)
        await self._record(ended)
        return Ended(ended, value=value)

    def _begin(self, tick: datetime) -> TickRecord:
        return TickRecord(
            name=self._entry.name,
            queue=self._entry.queue,
            tick=tick.timestamp(),
            status=TickStatus.FIRED,
            why=self._why,
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
            complain(f"the ledger does not know that {record.name} is {record.status}: {error}")
