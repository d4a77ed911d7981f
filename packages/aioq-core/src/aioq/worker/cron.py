"""Fires the app's cron entries: each call a task of its own in the worker's event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import islice
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio
from anyio.abc import TaskGroup

from aioq.app import Aarq
from aioq.clock import SteadyClock, pass_time
from aioq.cron import CronEntry, Tick, upcoming
from aioq.failure import describe, one_line
from aioq.protocols import Clock, TickLedger
from aioq.registry import name_of
from aioq.task import in_thread, is_async
from aioq.ticks import TickClaim, TickOutcome, TickReply
from aioq.worker.link import Link
from aioq.worker.log import logger
from aioq.worker.race import being_cancelled, first

__all__ = ["Cron"]

SPREAD = 0.05
"""Seconds over which a fleet spreads its bids for one tick."""

GRACE = 60.0
"""Seconds for which a bid is repeated while the broker is away; then the tick is missed."""

SHOWN = 100
"""Entries whose next runs are logged one by one at the start."""


class Cron:
    """Runs the scheduler's loop, and calls what it fires.

    Entries that fire once for the fleet live in a loop of their own, on the broker's clock.
    """

    def __init__(self, app: Aarq, worker_id: str, queues: tuple[str, ...], link: Link, clock: Clock) -> None:
        self._app, self._worker_id, self._link, self._clock = app, worker_id, link, clock
        self.entries = [entry for entry in app.crons if entry.queue in queues]
        self._broker_clock = SteadyClock(clock)
        self._running = 0
        self._idle = anyio.Event()
        self.shared: Mapping[str, Any] = {}

    async def run(self, jobs: TaskGroup) -> None:
        """Fire until cancelled; what is fired runs in `jobs` and outlives this call."""
        if not self.entries:
            return
        self._log_next_runs()
        alone = [entry for entry in self.entries if not entry.unique]
        unique = [entry for entry in self.entries if entry.unique]
        broker = self._app.broker
        async with anyio.create_task_group() as loops:
            loops.start_soon(self._loop, alone, partial(self._fire, jobs), self._clock)
            if unique and isinstance(broker, TickLedger):  # `Aarq.cron` has seen to it that it is one
                self._broker_clock.set(await self._link.insist(broker.time))
                loops.start_soon(self._loop, unique, partial(self._fire_once, jobs, broker), self._broker_clock)

    async def wait_idle(self) -> None:
        """Wait until nothing that was fired is still running."""
        while self._running:
            await self._idle.wait()

    async def _loop(self, entries: Sequence[CronEntry], fire: Callable[[Tick], None], clock: Clock) -> None:
        while entries:
            try:
                await self._app.scheduler.run(entries, fire, clock=clock)
            except Exception:
                logger.exception("the cron loop broke and is started again")
            await self._clock.sleep(1.0)

    def _fire(self, jobs: TaskGroup, tick: Tick) -> None:
        self._start(jobs, partial(self._call, tick), tick)

    def _fire_once(self, jobs: TaskGroup, ledger: TickLedger, tick: Tick) -> None:
        self._start(jobs, partial(self._contend, ledger, tick), tick)

    def _start(self, jobs: TaskGroup, call: Callable[[], Awaitable[None]], tick: Tick) -> None:
        self._running += 1  # here and not in the task: a stop may come before its first step
        jobs.start_soon(self._counted, call, name=f"cron {tick.entry.name}")

    async def _counted(self, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
                self._idle = anyio.Event()

    async def _contend(self, ledger: TickLedger, tick: Tick) -> None:
        """Fire a tick if this worker wins it; miss it when the broker stays away."""
        await self._clock.sleep(crc32(f"{self._worker_id} {tick.scheduled_at}".encode()) % 1000 / 1000 * SPREAD)
        claim = TickClaim(
            name=tick.entry.name,
            queue=tick.entry.queue,
            tick=tick.scheduled_at.timestamp(),
            fingerprint=tick.entry.fingerprint,
            worker_id=self._worker_id,
        )
        reply = await self._bid(ledger, claim)
        while reply is not None and reply.outcome is TickOutcome.EARLY:
            await pass_time(self._clock, claim.tick - reply.now)
            reply = await self._bid(ledger, claim)
        if reply is None:
            logger.error(
                "cron task %s missed its run of %s: the broker was away for %g s",
                tick.entry.name, tick.scheduled_at.isoformat(), GRACE, extra={"cron_name": tick.entry.name},
            )  # fmt: skip
        elif reply.outcome is TickOutcome.WON:
            await self._call(tick)

    async def _bid(self, ledger: TickLedger, claim: TickClaim) -> TickReply | None:
        """Return the broker's answer; None when it gave none for too long."""
        reply: TickReply | None = None

        async def insist() -> None:
            nonlocal reply
            reply = await self._link.insist(lambda: ledger.claim_tick(claim))
            self._broker_clock.set(reply.now)

        await first(insist, partial(pass_time, self._clock, GRACE))
        return reply

    async def _call(self, tick: Tick) -> None:
        function = tick.entry.function
        try:
            if is_async(function):
                await function(self._context(tick))
            else:
                await in_thread(partial(function, self._context(tick)))
        except anyio.get_cancelled_exc_class() as error:
            if being_cancelled():
                raise
            _failed(tick, error)
        except BaseException as error:  # a task that raises SystemExit ends itself, not the worker
            _failed(tick, error)

    def _context(self, tick: Tick) -> dict[str, Any]:
        return {
            **self.shared,
            "worker_id": self._worker_id,
            "broker": self._app.broker,
            "cron_name": tick.entry.name,
            "scheduled_at": tick.scheduled_at,
            "fired_at": datetime.fromtimestamp(self._clock.time(), UTC),
        }

    def _log_next_runs(self) -> None:
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        for entry in self.entries[:SHOWN]:
            logger.info(
                "cron task %s runs next at %s", entry.name, ", ".join(_next_runs(entry, now)) or "no time at all"
            )
        if len(self.entries) > SHOWN:
            logger.info("and %d more cron tasks", len(self.entries) - SHOWN)


def _failed(tick: Tick, error: BaseException) -> None:
    failure = describe(error)
    logger.error(
        "Cron task %s failed: %s",
        name_of(tick.entry.function),
        one_line(failure.message or failure.type),
        exc_info=error,
        extra={"cron_name": tick.entry.name},
    )


def _next_runs(entry: CronEntry, now: datetime) -> list[str]:
    """Return the next three runs as text, in the entry's zone; fewer when the schedule ends or raises."""
    zone = _zone(entry.tz)
    try:
        return [run.astimezone(zone).isoformat(sep=" ") for run in islice(upcoming(entry.schedule, now), 3)]
    except Exception:
        return []


def _zone(name: str) -> tzinfo:
    """Return a zone by name; UTC for one that only the scheduler knows."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return UTC
