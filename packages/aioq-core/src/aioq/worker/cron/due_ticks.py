"""Ticks of one entry that came due together, and those that were due before the worker started."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aioq.clock import Clock, wait_until
from aioq.cron import CronEntry, Tick
from aioq.cron.entry import due_at
from aioq.cron.misfire import Decision, NotFired, decide, split_at, unclaimed
from aioq.cron.steps import TickRange, latest, step
from aioq.worker.shutdown import Shutdown

__all__ = ["Backlog", "DueTicks", "merged", "owed_tick", "wait_for_turn"]


@dataclass(frozen=True, slots=True)
class DueTicks:
    """Ticks from the first to the newest, and the decision about them, which is made once."""

    tick: Tick
    """The newest tick, and the first of those that came due with it."""
    decision: Decision
    follows: datetime | None
    """The tick directly before the first, if the worker knows it."""

    def groups(self) -> list[tuple[datetime, ...]]:
        """Return the ticks that are to fire in the groups that are claimed in one step, oldest first.

        Ticks with jitter have different due times. Ticks of a cron whose runs must not overlap
        are claimed one by one, so that the ledger sees the run of the one before.
        """
        entry, fire = self.tick.entry, self.decision.fire
        if entry.options.jitter or (entry.job is None and entry.options.overlap != "allow"):
            return [(tick,) for tick in fire]
        return [fire] if fire else []

    def not_fired_after(self, previous: datetime) -> tuple[NotFired, ...]:
        """Return the ticks after `previous`, up to the newest, that do not fire.

        Usually `previous` is the tick directly before the first. Then the schedule, the slowest part
        of a claim, is not asked.
        """
        if not self.decision.not_fired and self.follows is not None and previous >= self.follows:
            return ()
        entry = self.tick.entry
        return unclaimed(entry, previous, self.tick.first or self.tick.scheduled_at) + self.decision.not_fired_after(
            entry, previous
        )


def merged(earlier: Tick | None, tick: Tick) -> Tick:
    """Return a tick and earlier ones of its entry as ticks that came due together."""
    if earlier is None:
        return tick
    # A tick beside the schedule may be older than those that came due before it.
    newest = max(earlier.scheduled_at, tick.scheduled_at)
    return Tick(tick.entry, newest, min(_first(earlier), _first(tick)))


def _first(tick: Tick) -> datetime:
    return tick.first or tick.scheduled_at


class Backlog:
    """The ticks that entries owe from before the worker started; each entry is asked once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, entry: CronEntry, now: datetime) -> Tick | None:
        """Return the ticks that an entry owes at a moment; None at the second call for it."""
        if entry.name in self._taken:
            return None
        self._taken.add(entry.name)
        return owed_tick(entry, now)

    def decide(self, tick: Tick, skipped: Tick | None, follows: datetime | None, now: datetime) -> DueTicks:
        """Decide about ticks that have come due, once, with those before them that no claim has accounted for.

        The first claim of an entry takes its backlog along: a claim without it would take those ticks away.

        Args:
            tick: The ticks that have come due.
            skipped: Ticks before them whose policy fired none.
            follows: The tick directly before `tick`, if it is known.
            now: The broker's time.
        """
        # An entry with skipped ticks has decided before, and so has no backlog any more.
        earlier = skipped or self.take(tick.entry, tick.scheduled_at)
        if earlier is not None:
            tick, follows = merged(earlier, tick), None
        decision = decide(tick.entry, tick.first or tick.scheduled_at, tick.scheduled_at, now)
        return DueTicks(tick, decision, follows)


def owed_tick(entry: CronEntry, now: datetime) -> Tick | None:
    """Return the ticks that came due in the entry's `grace` or `catchup` seconds before `now`; None if there are none.

    Within `grace` other workers may still be claiming them and never succeed; a claim of a later
    tick would then take theirs away. The ledger knows whether they have been fired.
    """
    options = entry.options
    # A tick that was scheduled earlier may be due since then, by up to its jitter.
    since = now - timedelta(seconds=max(options.grace, options.catchup or 0))
    first = step(entry.schedule, since - timedelta(seconds=options.jitter))
    if first is None or first > now:
        return None
    _, owed = split_at(entry, TickRange(first, latest(entry.schedule, first, now)), since)
    return None if owed is None else Tick(entry, owed.last, owed.first if owed.first < owed.last else None)


async def wait_for_turn(entry: CronEntry, tick: datetime, clock: Clock, shutdown: Shutdown) -> bool:
    """Wait until the jitter of a tick is over; return False if the worker stops first."""
    delay = due_at(entry, tick).timestamp() - clock.time()
    return delay <= 0 or not await wait_until(shutdown.draining, clock, delay)
