"""Fires the entries that fire once for the whole fleet: what this worker wins."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from zlib import crc32

import anyio
from anyio.lowlevel import checkpoint

from aioq.clock import BrokerClock, wait_until
from aioq.cron import CronEntry, Tick
from aioq.model.cron import TickOutcome, TickReason
from aioq.worker.cron.due_ticks import Case, Debts, wait_for_turn
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.run import STOPPED, CronTasks
from aioq.worker.cron.runs import Runs
from aioq.worker.cron.tick_claims import TOGETHER, Bid, Bidding
from aioq.worker.log import logger
from aioq.worker.shutdown import Shutdown

__all__ = ["Acting", "Contention"]

SPREAD = 0.05
"""Seconds over which a fleet spreads its bids for one tick."""

IN_LINE = 1.0
"""Seconds between two questions whether a tick that waits for an earlier run may fire."""

UNSETTLED = (None, TickOutcome.EARLY, TickOutcome.QUEUED)
"""What is no answer yet."""


class Contention:
    """Bids for ticks that have come due on the broker's clock, and has those run that are won.

    Entries that are due at one moment share a task and a call of the ledger, for as long as all
    goes well: each has a task of its own only while it has to wait for something.
    """

    def __init__(
        self,
        bidding: Bidding,
        acting: Acting,
        worker_id: str,
        recorder: Recorder,
        tasks: CronTasks,
        shutdown: Shutdown,
        clock: BrokerClock,
    ) -> None:
        self._bidding, self._acting, self._worker_id, self._recorder = bidding, acting, worker_id, recorder
        self._tasks, self._shutdown, self._clock = tasks, shutdown, clock
        self._debts = Debts()
        self._gathered: dict[datetime, list[Tick]] = {}
        """What has come due just now, by its moment."""
        self._since: dict[str, Tick | None] = {}
        """What has come due of entries that are contended for."""
        self._passed: dict[str, Tick] = {}
        """What was not bid for, as its policy has it; whoever wins the next tick tells why."""

    def fire(self, tick: Tick) -> None:
        """Contend for a tick that has come due, and for those that came due with it. Returns at once.

        What comes due while an earlier bid of the entry has no answer yet is one case with what
        follows it, and waits: a later bid that overtook an earlier one would spend its ticks.
        """
        name, at = tick.entry.name, tick.scheduled_at
        if name in self._since:
            self._since[name] = _joined(self._since[name], tick)
            return
        self._since[name] = None
        if at in self._gathered:
            self._gathered[at].append(tick)
        else:
            self._gathered[at] = [tick]
            self._tasks.start(partial(self._contend_together, at), name)

    async def catch_up(self, entries: Iterable[CronEntry]) -> None:
        """Contend for what entries owe from before this worker was up."""
        for number, entry in enumerate(entries):
            if number and number % TOGETHER == 0:
                await checkpoint()
            if entry.name in self._since:
                continue  # the bid for a tick that has come meanwhile has the debts, too
            try:
                tick = self._debts.take(entry, self._now())
            except Exception:
                logger.exception("what cron task %s owes cannot be told: its schedule failed", entry.name)
                continue
            if tick is not None:
                self.fire(tick)

    async def _contend_together(self, at: datetime) -> None:
        """Bid for ticks of several entries at one moment."""
        made = [pair for tick in self._gathered.pop(at) if (pair := self._prepared(tick))]
        if not made:
            return
        await self._clock.sleep(self._spread(at))
        if self._shutdown.requested:
            for case, _ in made:
                del self._since[case.entry.name]
            return
        left = deque(made)
        try:
            await self._bidding.ask_together([bid for _, bid in made])
            while left:
                await self._conclude(*left.popleft())
        finally:
            for _, bid in left:
                self._acting.give_up(bid)

    def _prepared(self, tick: Tick) -> tuple[Case, Bid] | None:
        """Return the bid for a tick; None when an entry needs a task of its own: it has to wait, or makes several."""
        name, due = tick.entry.name, tick
        try:
            # Its first bid has the entry's debts, or would spend them.
            due = _joined(self._debts.take(tick.entry, tick.scheduled_at), tick)
            case = Case.of(due, self._now())
            bundles = [*_bundles(case.entry, case.chosen())]
        except Exception:
            logger.exception("a tick of cron task %s could not be dealt with", name, extra={"cron_name": name})
            del self._since[name]
            return None
        if len(bundles) == 1 and not case.entry.options.jitter and name not in self._passed:
            return case, self._bidding.bid(case.entry, bundles[0])
        self._tasks.start(partial(self._contend, due), name)
        return None

    async def _conclude(self, case: Case, bid: Bid) -> None:
        """Act on the answer to a bid that was made with others, if that is one."""
        name = case.entry.name
        if bid.outcome() in UNSETTLED:
            self._tasks.start(partial(self._go_on, name, partial(self._see_through, case, bid)), name)
            return
        try:
            await self._acting.act(case, bid)
        except Exception:
            logger.exception("a tick of cron task %s could not be dealt with", name, extra={"cron_name": name})
        if (since := self._since.pop(name)) is not None:
            self._since[name] = None
            self._tasks.start(partial(self._contend, since), name)

    async def _contend(self, tick: Tick) -> None:
        """Contend for ticks of one entry, and for what comes due meanwhile."""
        await self._go_on(tick.entry.name, partial(self._contend_for, tick))

    async def _go_on(self, name: str, first: Callable[[], Awaitable[None]]) -> None:
        try:
            await first()
            while (since := self._since[name]) is not None:
                self._since[name] = None
                await self._contend_for(since)
        finally:
            del self._since[name]

    async def _contend_for(self, tick: Tick) -> None:
        """Bid for what is to fire. Leave to other workers whatever a stop comes before."""
        due = _joined(self._passed.pop(tick.entry.name, None), tick)
        case = Case.of(due, self._now())
        chosen = case.chosen()
        for number, moments in enumerate(_bundles(tick.entry, chosen)):
            if not await wait_for_turn(tick.entry, moments[-1], self._clock, self._shutdown):
                break
            if number == 0:
                await self._clock.sleep(self._spread(tick.scheduled_at))
            if self._shutdown.requested:
                break
            await self._see_through(case, self._bidding.bid(case.entry, moments))
        if not chosen:
            self._passed[tick.entry.name] = due

    async def _see_through(self, case: Case, bid: Bid) -> None:
        """Ask until there is an answer, and act on it."""
        if not self._shutdown.requested:
            await self._ask(bid)
        if bid.outcome() is TickOutcome.QUEUED:
            self._tasks.start(partial(self._wait_in_line, case, bid), case.entry.name)
        else:
            await self._acting.act(case, bid)

    async def _wait_in_line(self, case: Case, bid: Bid) -> None:
        """Ask again and again until an earlier run has ended, or a newer tick is next."""
        while bid.outcome() is TickOutcome.QUEUED:
            if await wait_until(self._shutdown.draining, self._clock, IN_LINE):
                self._recorder.skipped(case.entry, bid.moments[-1], TickReason.STOPPING)
                return
            await self._ask(bid)
        await self._acting.act(case, bid)

    async def _ask(self, bid: Bid) -> None:
        try:
            await self._bidding.ask(bid)
        except anyio.get_cancelled_exc_class():
            self._acting.give_up(bid)
            raise

    def _spread(self, at: datetime) -> float:
        """Return for how long to hold back a bid for the ticks of a moment."""
        return crc32(f"{self._worker_id} {at}".encode()) % 1000 / 1000 * SPREAD

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time(), UTC)


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


DECIDED = (TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY)
"""What makes a worker the owner of the ticks before its own."""


class Acting:
    """Runs what was won, and records what was not to be had."""

    def __init__(self, runs: Runs, recorder: Recorder, shutdown: Shutdown) -> None:
        self._runs, self._recorder, self._shutdown = runs, recorder, shutdown
        self._accounted: dict[str, datetime] = {}

    async def act(self, case: Case, bid: Bid) -> None:
        """Do what the answer says; without one the ticks are missed, unless the worker stops."""
        if bid.reply is None:
            if not self._shutdown.requested:
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

    def give_up(self, bid: Bid) -> None:
        """Record that what was won is not run: a cancellation came before it."""
        for moment in bid.to_run():
            self._recorder.not_run(bid.entry, moment, STOPPED)

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
            self._recorder.missed(bid.entry, moment, TickReason.BROKER_AWAY)
            self._accounted[bid.entry.name] = moment
