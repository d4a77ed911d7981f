"""Fires the entries that fire once for the whole fleet: what this worker wins."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from zlib import crc32

import anyio
from anyio.lowlevel import checkpoint

from aioq.clock import wait_until
from aioq.cron import CronEntry, Tick
from aioq.ticks import TickOutcome
from aioq.worker.cron.bidding import Bid, Bidding
from aioq.worker.cron.broker_clock import BrokerClock
from aioq.worker.cron.case import Case
from aioq.worker.cron.catching_up import Debts
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.run import STOPPED
from aioq.worker.cron.runs import Runs
from aioq.worker.cron.tasks import CronTasks
from aioq.worker.cron.turn import wait_for_turn
from aioq.worker.log import logger
from aioq.worker.stop import Stop

__all__ = ["Contention"]

SPREAD = 0.05
"""Seconds over which a fleet spreads its bids for one tick."""

IN_LINE = 1.0
"""Seconds between two questions whether a tick that waits for an earlier run may fire."""

DECIDED = (TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY)
"""What makes a worker the owner of the ticks before its own."""


class Contention:
    """Bids for ticks that have come due on the broker's clock, and runs those that are won."""

    def __init__(
        self,
        bidding: Bidding,
        worker_id: str,
        runs: Runs,
        recorder: Recorder,
        tasks: CronTasks,
        stop: Stop,
        clock: BrokerClock,
    ) -> None:
        self._bidding, self._worker_id, self._runs, self._recorder = bidding, worker_id, runs, recorder
        self._tasks, self._stop, self._clock = tasks, stop, clock
        self._debts = Debts()
        self._accounted: dict[str, datetime] = {}
        self._since: dict[str, Tick | None] = {}
        """What has come due of entries that are contended for."""
        self._passed: dict[str, Tick] = {}
        """What was not bid for, as its policy has it; whoever wins the next tick tells why."""

    def fire(self, tick: Tick) -> None:
        """Contend for a tick that has come due, and for those that came due with it. Returns at once.

        What comes due while an earlier bid of the entry has no answer yet is one case with what
        follows it, and waits: a later bid that overtook an earlier one would spend its ticks.
        """
        name = tick.entry.name
        if name in self._since:
            self._since[name] = _joined(self._since[name], tick)
        else:
            self._since[name] = None
            self._tasks.start(partial(self._contend, tick), name)

    async def catch_up(self, entries: Iterable[CronEntry]) -> None:
        """Contend for what entries owe from before this worker was up."""
        for entry in entries:
            if entry.name in self._since:
                continue  # the bid for a tick that has come meanwhile has the debts, too
            try:
                tick = self._debts.take(entry, datetime.fromtimestamp(self._clock.time(), UTC))
            except Exception:
                logger.exception("what cron task %s owes cannot be told: its schedule failed", entry.name)
                continue
            if tick is not None:
                self.fire(tick)
            await checkpoint()

    async def _contend(self, tick: Tick) -> None:
        name = tick.entry.name
        try:
            # Its first bid has the entry's debts, or would spend them.
            due = _joined(self._debts.take(tick.entry, tick.scheduled_at), tick)
            while True:
                due = _joined(self._passed.pop(name, None), due)
                if not await self._contend_for(due):
                    self._passed[name] = due
                if (since := self._since[name]) is None:
                    return
                due, self._since[name] = since, None
        finally:
            del self._since[name]

    async def _contend_for(self, tick: Tick) -> bool:
        """Bid for what is to fire; False when nothing is. Leave to other workers whatever a stop comes before."""
        case = Case.of(tick, datetime.fromtimestamp(self._clock.time(), UTC))
        chosen = case.chosen()
        spread = crc32(f"{self._worker_id} {tick.scheduled_at}".encode()) % 1000 / 1000 * SPREAD
        for number, moments in enumerate(_bundles(tick.entry, chosen)):
            if not await wait_for_turn(tick.entry, moments[-1], self._clock, self._stop):
                break
            if number == 0:
                await self._clock.sleep(spread)
            if self._stop.requested():
                break
            await self._bid(case, moments)
        return bool(chosen)

    async def _bid(self, case: Case, moments: tuple[datetime, ...]) -> None:
        bid = self._bidding.bid(case.entry, moments)
        await self._ask(bid)
        if bid.outcome() is TickOutcome.QUEUED:
            self._tasks.start(partial(self._wait_in_line, case, bid), case.entry.name)
        else:
            await self._act(case, bid)

    async def _wait_in_line(self, case: Case, bid: Bid) -> None:
        """Ask again and again until an earlier run has ended, or a newer tick is next."""
        while bid.outcome() is TickOutcome.QUEUED:
            if await wait_until(self._stop.draining, self._clock, IN_LINE):
                self._recorder.skipped(case.entry, bid.moments[-1], "stopping")
                return
            await self._ask(bid)
        await self._act(case, bid)

    async def _ask(self, bid: Bid) -> None:
        try:
            await self._bidding.ask(bid)
        except anyio.get_cancelled_exc_class():
            for moment in bid.to_run():
                self._recorder.not_run(bid.entry, moment, STOPPED)
            raise

    async def _act(self, case: Case, bid: Bid) -> None:
        """Do what the answer says, and account for what nobody has fired."""
        if bid.reply is None:
            if not self._stop.requested():
                self._miss(bid)
            return
        logger.debug("cron task %s: the bid for %s is %s", case.entry.name, bid.claim.ticks, bid.reply.outcome.value)
        if bid.reply.outcome is TickOutcome.LOST:
            self._runs.outrun(case.entry)
        if bid.reply.outcome in DECIDED and bid.reply.previous is not None:
            previous = datetime.fromtimestamp(bid.reply.previous, UTC)
            accounted = max(previous, self._accounted.pop(case.entry.name, previous))
            self._recorder.left(case.entry, case.unfired_since(accounted))
        await self._run(bid)

    async def _run(self, bid: Bid) -> None:
        """Begin what was won, the oldest first; what a cancellation comes before was cut short."""
        moments = deque(bid.to_run())
        try:
            while moments:
                self._runs.begin(bid.entry, moments.popleft())
                if moments:
                    await checkpoint()
        finally:
            for moment in moments:
                self._recorder.not_run(bid.entry, moment, STOPPED)

    def _miss(self, bid: Bid) -> None:
        for moment in bid.moments:
            logger.error(
                "cron task %s missed its run of %s: the broker was away for %g s",
                bid.entry.name, moment.isoformat(), bid.entry.options.grace, extra={"cron_name": bid.entry.name},
            )  # fmt: skip
            self._recorder.missed(bid.entry, moment, "broker away")
            self._accounted[bid.entry.name] = moment


def _joined(earlier: Tick | None, tick: Tick) -> Tick:
    """Return a tick and those that wait as ticks that came due together."""
    if earlier is None:
        return tick
    return Tick(tick.entry, tick.scheduled_at, earlier.first or earlier.scheduled_at)


def _bundles(entry: CronEntry, moments: tuple[datetime, ...]) -> Iterable[tuple[datetime, ...]]:
    """Divide ticks into those that are bid for in one step.

    Runs that must not overlap are bid for one by one, so that the ledger can tell them apart.
    """
    if not moments:
        return []
    apart = entry.options.jitter or (entry.job is None and entry.options.overlap != "allow")
    return [(moment,) for moment in moments] if apart else [moments]
