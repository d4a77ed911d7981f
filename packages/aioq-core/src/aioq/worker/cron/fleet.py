"""Fires the entries that fire once for the whole fleet: claims their ticks, and runs those that this worker wins.

An entry is always in one state:

    IDLE      no tick is due
    GATHERED  ticks came due; in a moment one call claims them together with those of all entries due at that moment
    WAITING   ticks wait in a task of their entry: for their jitter, or for the end of an earlier claim
    CLAIMING  a claim was sent, or is about to be, and is not dealt with yet

    IDLE -> GATHERED -> CLAIMING -> IDLE        the usual way, one call for all entries
    GATHERED -> WAITING                         jitter, or several claims: they cannot share the call
    CLAIMING -> WAITING                         ticks came due meanwhile, or more claims follow
    WAITING -> CLAIMING -> IDLE                 in the task of the entry
    any -> IDLE                                 the worker stops, or the schedule fails

Ticks that come due in another state than IDLE are kept in `later` and claimed as one set afterwards. Two claims of one
entry are never under way: if the newer one overtook the older one, the ledger would answer that the older ticks are
lost.

A claim that is answered `QUEUED` waits for an earlier run to end, in a task of its own. Its entry does not wait with
it: the next tick has to be claimed too, and takes the place of the waiting one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from functools import partial
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from aioq.clock import BrokerClock, wait_until
from aioq.cron import CronEntry, Tick
from aioq.events import TickEvent
from aioq.model.cron import TickOutcome, TickReason, TickReply
from aioq.worker.cron.claim_turns import ClaimTurns
from aioq.worker.cron.due_ticks import Backlog, DueTicks, merged, wait_for_turn
from aioq.worker.cron.invoke import STOPPED
from aioq.worker.cron.recorder import Recorder
from aioq.worker.cron.runs import CronTasks, Runs
from aioq.worker.cron.tick_claims import BATCH_SIZE, PendingClaim, TickClaims
from aioq.worker.log import logger
from aioq.worker.shutdown import Shutdown

__all__ = ["EntryState", "Fleet"]

QUEUED_RETRY = 1.0
"""Seconds between two claims of a tick that waits for an earlier run."""

UNDECIDED = (TickOutcome.EARLY, TickOutcome.QUEUED)
"""Outcomes after which the claim is sent again, alone."""

OWNING = (TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY)
"""Outcomes after which this worker must account for the ticks before its own."""


SKIPPED: Final = {TickOutcome.PAUSED: TickReason.PAUSED, TickOutcome.BUSY: TickReason.OVERLAP}
"""Outcomes with which the ledger has recorded the ticks as skipped, and why."""


class EntryState(Enum):
    """How far an entry is with the ticks that have come due."""

    IDLE = auto()
    GATHERED = auto()
    WAITING = auto()
    CLAIMING = auto()


@dataclass(slots=True, eq=False)
class FleetEntry:
    """An entry, its state, and the ticks that have not been claimed yet."""

    entry: CronEntry
    state: EntryState = EntryState.IDLE
    newest: datetime | None = None
    """The newest tick that the scheduler has fired. The next one follows it directly, until the loop is restarted."""
    later: Tick | None = None
    """Ticks that came due while the entry was not idle."""
    skipped: Tick | None = None
    """Ticks that were not claimed because their misfire policy fires none. The next claim accounts for them."""
    accounted: datetime | None = None
    """The newest tick that this worker has recorded as missed, and that a claim may still find unaccounted."""

    def take_later(self) -> Tick | None:
        """Return the ticks that came due meanwhile, and keep none."""
        later = self.later
        self.later = None
        return later

    def reset(self) -> None:
        """Become idle, and drop what came due meanwhile: other workers claim it, or the next claim accounts for it."""
        self.state = EntryState.IDLE
        self.later = None


class Fleet:
    """Claims ticks that have come due on the broker's clock, and acts on the answers.

    Args:
        claims: Asks the ledger.
        runs: Runs what is won.
        turns: Knows when this worker claims.
    """

    def __init__(
        self,
        claims: TickClaims,
        runs: Runs,
        turns: ClaimTurns,
        *,
        recorder: Recorder,
        tasks: CronTasks,
        shutdown: Shutdown,
        clock: BrokerClock,
    ) -> None:
        self._claims = claims
        self._runs = runs
        self._turns = turns
        self._recorder = recorder
        self._tasks = tasks
        self._shutdown = shutdown
        self._clock = clock
        self._backlog = Backlog()
        self._entries: dict[str, FleetEntry] = {}
        self._gathered: dict[datetime, list[tuple[Tick, datetime | None]]] = {}
        """The ticks of entries that are GATHERED and the tick that each of them follows, by their moment."""

    def fire(self, tick: Tick) -> None:
        """Claim a tick that has come due, and those that came due with it. Returns at once."""
        own = self._own(tick.entry)
        follows = own.newest
        own.newest = tick.scheduled_at
        self._accept(own, tick, follows)

    def fire_beside(self, tick: Tick) -> None:
        """Claim a tick that is not one of the schedule. The next tick of the loop does not follow it directly."""
        self._accept(self._own(tick.entry), tick, None)

    def restart(self) -> None:
        """Note that the scheduler's loop starts again: ticks may have passed meanwhile."""
        for own in self._entries.values():
            own.newest = None

    def _accept(self, own: FleetEntry, tick: Tick, follows: datetime | None) -> None:
        if own.state is not EntryState.IDLE:
            logger.debug(
                "cron task %s: the tick of %s waits: %s",
                own.entry.name,
                tick.scheduled_at,
                own.state.name,
                extra={"event": "tick_waits"},
            )
            # Merged, not queued: a worker that was suspended for a day must not claim a day's ticks one call after the
            # other.
            own.later = merged(own.later, tick)
            return
        # The loop fires up to a hundred entries of a moment before the task below gets its first step and takes them.
        own.state = EntryState.GATHERED
        gathered = self._gathered.setdefault(tick.scheduled_at, [])
        gathered.append((tick, follows))
        if len(gathered) == 1:
            # One call for all entries of the moment: thousands of entries may be due at midnight.
            self._tasks.start(partial(self._claim_together, tick.scheduled_at), tick.entry.name)

    async def catch_up(self, entries: Iterable[CronEntry]) -> None:
        """Claim the ticks that entries owe from before the worker started."""
        for number, entry in enumerate(entries):
            if number and number % BATCH_SIZE == 0:
                await checkpoint()
            own = self._own(entry)
            if own.state is not EntryState.IDLE:
                continue  # a tick has come due meanwhile, and its claim takes the backlog
            try:
                # By the broker's time: a host whose clock is ahead would claim ticks that are not due.
                tick = self._backlog.take(entry, self._now())
            except Exception:
                logger.exception(
                    "cannot catch up on cron task %s: its schedule failed",
                    entry.name,
                    extra={"event": "catch_up_failed"},
                )
                continue
            if tick is not None:
                self._accept(own, tick, None)

    async def _claim_together(self, moment: datetime) -> None:
        """Claim the ticks of all entries that came due at one moment, when it is the turn of this worker."""
        claims = [claim for tick, follows in self._gathered.pop(moment) if (claim := self._shared_claim(tick, follows))]
        now, queues = self._clock.time(), {claim.entry.queue for claim in claims}
        waits = {queue: self._turns.wait(moment.timestamp(), queue, now) for queue in queues}
        # One call, unless some of the workers consume other queues: then the favourite of a queue may be another one.
        first, *others = sorted(set(waits.values())) or [0.0]
        for wait in others:
            own = [claim for claim in claims if waits[claim.entry.queue] == wait]
            self._tasks.start(partial(self._claim_after, wait, own), own[0].entry.name)
        await self._claim_after(first, [claim for claim in claims if waits[claim.entry.queue] == first])

    async def _claim_after(self, seconds: float, claims: Sequence[PendingClaim]) -> None:
        if seconds:
            await self._clock.sleep(seconds)
        if self._shutdown.requested:
            # Nothing was claimed yet: the other workers do, or the next worker finds the ticks in its backlog.
            for claim in claims:
                self._own(claim.entry).reset()
            return
        pending = deque(claims)
        try:
            await self._claims.send_together(claims)
            while pending:
                await self._conclude(pending.popleft())
        finally:
            # Only after a cancellation: the ledger takes the runs of these claims to have started.
            for claim in pending:
                self._give_up(claim)

    def _shared_claim(self, tick: Tick, follows: datetime | None) -> PendingClaim | None:
        """Return the claim of a gathered tick; None if the entry needs a task of its own, or its schedule fails."""
        own = self._own(tick.entry)
        try:
            due = self._decide(own, tick, follows)
            groups = due.groups()
        except Exception:
            _log_failed_tick(own.entry)
            own.reset()
            return None
        # Jitter delays each entry by another time, and a later group needs the answer to the one before it.
        if len(groups) == 1 and not own.entry.options.jitter:
            own.state = EntryState.CLAIMING
            return self._claims.new(due, groups[0])
        self._start_task(own, partial(self._claim_in_turn, own, due))
        return None

    async def _conclude(self, claim: PendingClaim) -> None:
        """Act on the answer to a claim that was sent with others; without a decision, send it again alone."""
        own = self._own(claim.entry)
        if claim.reply is None or claim.reply.outcome in UNDECIDED:
            # A retry may take minutes. The other entries of the call must not wait for it.
            self._start_task(own, partial(self._claim_alone, claim))
            return
        try:
            await self._act(claim)
        except Exception:
            _log_failed_tick(own.entry)
        if (later := own.take_later()) is None:
            own.state = EntryState.IDLE
        else:
            self._start_task(own, partial(self._claim_later, own, later))

    def _start_task(self, own: FleetEntry, first: Callable[[], Awaitable[None]]) -> None:
        own.state = EntryState.WAITING
        self._tasks.start(partial(self._run_task, own, first), own.entry.name)

    async def _run_task(self, own: FleetEntry, first: Callable[[], Awaitable[None]]) -> None:
        """Deal with due ticks of one entry, and with what comes due meanwhile."""
        try:
            await first()
            while (later := own.take_later()) is not None:
                await self._claim_later(own, later)
        finally:
            own.reset()

    async def _claim_later(self, own: FleetEntry, tick: Tick) -> None:
        await self._claim_in_turn(own, self._decide(own, tick, None))

    async def _claim_in_turn(self, own: FleetEntry, due: DueTicks) -> None:
        """Claim the ticks that are to fire, one group after the other. A stop leaves the rest to other workers."""
        groups = due.groups()
        for number, ticks in enumerate(groups):
            own.state = EntryState.WAITING
            if not await wait_for_turn(own.entry, ticks[-1], self._clock, self._shutdown):
                return
            if number == 0:
                moment, now = due.tick.scheduled_at.timestamp(), self._clock.time()
                await self._clock.sleep(self._turns.wait(moment, own.entry.queue, now))
            if self._shutdown.requested:
                return
            await self._claim_alone(self._claims.new(due, ticks))
        if not groups:
            # Without a claim the worker does not know whether these ticks are its own to record.
            own.skipped = due.tick

    async def _claim_alone(self, claim: PendingClaim) -> None:
        """Send a claim until there is an answer, and act on it."""
        self._own(claim.entry).state = EntryState.CLAIMING
        if not self._shutdown.requested:
            await self._send(claim)
        if claim.is_queued():
            # In a task of its own: the entry goes on, so that its next tick can take the place of this one.
            self._tasks.start(partial(self._wait_for_earlier_run, claim), claim.entry.name)
        else:
            await self._act(claim)

    async def _wait_for_earlier_run(self, claim: PendingClaim) -> None:
        """Repeat a claim until the earlier run has ended, or a newer tick has taken its place."""
        while claim.is_queued():
            if await wait_until(self._shutdown.draining, self._clock, QUEUED_RETRY):
                self._recorder.skipped(claim.entry, claim.ticks[-1], TickReason.STOPPING)
                return
            await self._send(claim)
        await self._act(claim)

    async def _send(self, claim: PendingClaim) -> None:
        try:
            await self._claims.send(claim)
        except anyio.get_cancelled_exc_class():
            self._give_up(claim)
            raise

    async def _act(self, claim: PendingClaim) -> None:
        """Do what the answer says; without one the ticks are missed, unless the worker stops."""
        reply = claim.reply
        if reply is None:
            # A stop ends the retries early, and another worker may still win the ticks.
            if not self._shutdown.requested:
                self._miss(claim)
            return
        logger.debug(
            "cron task %s: the claim of %s is %s",
            claim.entry.name,
            claim.request.ticks,
            reply.outcome.value,
            extra={"event": "tick_claim_decided"},
        )
        # A lost claim is the first sign that a newer run elsewhere replaces the one that goes on here.
        if reply.outcome is TickOutcome.LOST:
            self._runs.check_replaced(claim.entry)
        self._tell(claim, reply)
        if reply.outcome in OWNING and reply.previous is not None:
            self._account(claim, datetime.fromtimestamp(reply.previous, UTC))
        await self._run(claim)

    def _tell(self, claim: PendingClaim, reply: TickReply) -> None:
        """Fire the events of ticks that the ledger itself has fired or skipped."""
        events = self._recorder.events
        if reply.outcome is TickOutcome.WON:
            events.enqueued(claim.request, reply.won)
        elif (reason := SKIPPED.get(reply.outcome)) is not None:
            for tick in claim.request.ticks:
                events.tell(TickEvent.SKIPPED, claim.entry.key, tick, reason=reason.value)

    def _account(self, claim: PendingClaim, previous: datetime) -> None:
        """Record the ticks between the latest that was decided before and the newest of this claim that do not fire."""
        own = self._own(claim.entry)
        if own.accounted is not None:
            # These ticks are in the ledger as missed already, although no claim of them was decided.
            previous = max(previous, own.accounted)
            own.accounted = None
        if not_fired := claim.due.not_fired_after(previous):
            self._recorder.not_fired(claim.entry, not_fired)

    async def _run(self, claim: PendingClaim) -> None:
        """Start the runs of what was won, oldest first. A cancellation in between ends those that have not begun."""
        ticks = deque(_ticks_to_run(claim))
        try:
            while ticks:
                self._runs.begin(claim.entry, ticks.popleft())
                if ticks:  # up to a thousand: let other tasks run in between
                    await checkpoint()
        finally:
            for tick in ticks:
                self._recorder.not_run(claim.entry, tick, STOPPED, TickReason.STOPPING)

    def _give_up(self, claim: PendingClaim) -> None:
        """Record that a cancellation came before the runs of what was won."""
        for tick in _ticks_to_run(claim):
            self._recorder.not_run(claim.entry, tick, STOPPED, TickReason.STOPPING)

    def _miss(self, claim: PendingClaim) -> None:
        entry = claim.entry
        reason, state = (TickReason.BROKER_FULL, "full") if claim.found_full else (TickReason.BROKER_AWAY, "away")
        for tick in claim.ticks:
            logger.error(
                "cron task %s missed its run of %s: the broker was %s for %g s",
                entry.name, tick.isoformat(), state, entry.options.grace,
                extra={"event": "tick_missed", "cron_name": entry.name},
            )  # fmt: skip
            self._recorder.missed(entry, tick, reason)
            self._own(entry).accounted = tick

    def _decide(self, own: FleetEntry, tick: Tick, follows: datetime | None) -> DueTicks:
        due = self._backlog.decide(tick, own.skipped, follows, self._now())
        own.skipped = None
        return due

    def _own(self, entry: CronEntry) -> FleetEntry:
        own = self._entries.get(entry.name)
        if own is None:
            own = self._entries[entry.name] = FleetEntry(entry)
        return own

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time(), UTC)


def _ticks_to_run(claim: PendingClaim) -> list[datetime]:
    """Return the ticks whose functions this worker must call. The ledger enqueues jobs by itself."""
    reply = claim.reply
    if reply is None or reply.outcome is not TickOutcome.WON or claim.request.job is not None:
        return []
    return [datetime.fromtimestamp(tick, UTC) for tick in reply.won]


def _log_failed_tick(entry: CronEntry) -> None:
    logger.exception(
        "cannot process a tick of cron task %s",
        entry.name,
        extra={"event": "tick_not_processed", "cron_name": entry.name},
    )
