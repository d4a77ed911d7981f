"""Decides which of the ticks that have come due fire, and for what reason the others do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from aioq.cron.entry import CronEntry, due_at
from aioq.cron.options import Misfire
from aioq.cron.steps import INSTANT, TickRange, latest, step, walk
from aioq.model.cron import CronStatus, TickReason, TickStatus

__all__ = ["MAX_COUNTED", "MAX_FIRED", "Decision", "NotFired", "decide", "overdue", "split_at", "unclaimed"]

MAX_FIRED = 1_000
"""Ticks of one entry that are fired at one time; older ones are missed. `TickReason.TOO_MANY` names the number."""

MAX_COUNTED = 1_000
"""Ticks that are counted one by one, which blocks the event loop for some 15 ms. A larger number is a lower bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFired:
    """Consecutive ticks that do not fire, all for the same reason."""

    first: datetime
    last: datetime
    count: int
    """A lower bound if it is `MAX_COUNTED`."""
    status: TickStatus
    """`SKIPPED` or `MISSED`."""
    reason: TickReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to ticks that have come due."""

    fire: tuple[datetime, ...]
    """Oldest first."""
    not_fired: tuple[NotFired, ...] = ()
    """Oldest first."""

    def not_fired_after(self, entry: CronEntry, moment: datetime) -> tuple[NotFired, ...]:
        """Return the ticks after `moment` that do not fire.

        Deciding about those ticks alone gives the same answer: every policy looks at the newest
        ticks and at the time, and never at how many older ticks there are.
        """
        rest: list[NotFired] = []
        for group in self.not_fired:
            if moment < group.first:
                rest.append(group)
            elif moment < group.last and (first := step(entry.schedule, moment)) is not None:
                rest += _not_fired(entry, TickRange(first, group.last), group.status, group.reason)
        return tuple(rest)


def decide(entry: CronEntry, first: datetime, newest: datetime, now: datetime) -> Decision:
    """Decide about all ticks of an entry from `first` to `newest`, both of them due at `now`.

    A tick is as late as `now` is past the tick and its jitter. If the newest is at most `grace`
    late, it is in time and fires whatever `catchup` is.
    """
    old, young = split_at(entry, TickRange(first, newest), _oldest_due(entry, newest, now))
    too_old = _not_fired(entry, old, TickStatus.MISSED, TickReason.TOO_OLD)
    if young is None:
        return Decision(fire=(), not_fired=too_old)
    decision = _POLICIES[entry.options.misfire](entry, young, now)
    return Decision(fire=decision.fire, not_fired=too_old + decision.not_fired)


def unclaimed(entry: CronEntry, previous: datetime, first: datetime) -> tuple[NotFired, ...]:
    """Return the ticks after `previous` and before `first` as missed: no worker claimed them."""
    following = step(entry.schedule, previous) if previous < first else None
    if following is None or following >= first:
        return ()
    ticks = TickRange(following, latest(entry.schedule, following, first - INSTANT))
    return _not_fired(entry, ticks, TickStatus.MISSED, TickReason.NO_WORKER)


def overdue(entry: CronEntry, status: CronStatus, now: datetime) -> datetime | None:
    """Return the oldest tick that should have a record by `now`, on the broker's clock; None if there is none.

    A tick is overdue after its jitter and the entry's grace. An entry has no overdue ticks while
    it is paused, disabled or retired, while another schedule is registered under its name, or
    from before it was armed.
    """
    idle = status.pause is not None or status.retired_at is not None or not entry.options.enabled
    if idle or status.definition.fingerprint != entry.fingerprint:
        return None
    recorded = status.armed_at if status.last is None else status.last.tick
    # A tick that was decided may have no record yet: records are written in batches.
    known_until = max(status.armed_at, recorded, status.last_tick or status.armed_at)
    tick = step(entry.schedule, datetime.fromtimestamp(known_until, UTC))
    if tick is None or now <= due_at(entry, tick) + timedelta(seconds=entry.options.grace):
        return None
    return tick


def split_at(entry: CronEntry, ticks: TickRange, moment: datetime | None) -> tuple[TickRange | None, TickRange | None]:
    """Divide a range into the ticks that were due before `moment`, and those due at it or later."""
    if moment is None or due_at(entry, ticks.first) >= moment:
        return None, ticks
    if due_at(entry, ticks.last) < moment:
        return ticks, None
    tick = latest(entry.schedule, ticks.first, moment)
    if due_at(entry, tick) >= moment:
        # Its jitter takes this tick past the moment. Jitter is less than a step, so the tick before is not.
        tick = latest(entry.schedule, ticks.first, tick - INSTANT)
    # The last tick may be none of the schedule: then the next tick of the schedule is after it.
    young = min(step(entry.schedule, tick) or ticks.last, ticks.last)
    return TickRange(ticks.first, tick), TickRange(young, ticks.last)


def _oldest_due(entry: CronEntry, newest: datetime, now: datetime) -> datetime | None:
    """Return the moment since which a tick must have been due to fire; None for no limit."""
    if entry.options.catchup is None:
        return None
    # The newest tick, if it is in time, needs no catchup: then the limit is its own due time at the latest.
    limit = now - timedelta(seconds=entry.options.catchup)
    latest_due = due_at(entry, newest)
    in_time = latest_due >= now - timedelta(seconds=entry.options.grace)
    return min(limit, latest_due) if in_time else limit


def _fire_newest(entry: CronEntry, ticks: TickRange, _: datetime) -> Decision:
    others = _without_last(entry, ticks)
    coalesced = _not_fired(entry, others, TickStatus.SKIPPED, TickReason.COALESCED)
    return Decision(fire=(ticks.last,), not_fired=coalesced)


def _fire_in_time(entry: CronEntry, ticks: TickRange, now: datetime) -> Decision:
    late, in_time = split_at(entry, ticks, now - timedelta(seconds=entry.options.grace))
    too_late = _not_fired(entry, late, TickStatus.SKIPPED, TickReason.TOO_LATE)
    if in_time is None:
        return Decision(fire=(), not_fired=too_late)
    decision = _fire_newest(entry, in_time, now)
    return Decision(fire=decision.fire, not_fired=too_late + decision.not_fired)


def _fire_all(entry: CronEntry, ticks: TickRange, _: datetime) -> Decision:
    newest = _newest_of(entry, ticks)
    others = _without_last(entry, TickRange(ticks.first, newest[0]))
    too_many = _not_fired(entry, others, TickStatus.MISSED, TickReason.TOO_MANY)
    return Decision(fire=tuple(newest), not_fired=too_many)


_POLICIES: dict[Misfire, Callable[[CronEntry, TickRange, datetime], Decision]] = {
    "once": _fire_newest,
    "skip": _fire_in_time,
    "all": _fire_all,
}


def _without_last(entry: CronEntry, ticks: TickRange) -> TickRange | None:
    """Return a range without its last tick; None if that was the only one."""
    if ticks.first == ticks.last:
        return None
    return TickRange(ticks.first, latest(entry.schedule, ticks.first, ticks.last - INSTANT))


def _newest_of(entry: CronEntry, ticks: TickRange) -> list[datetime]:
    """Return the newest `MAX_FIRED` ticks of a range, or all of them if there are fewer.

    A schedule can only be walked forward, so a long range is searched by bisection for a moment
    after which there are enough ticks, and few enough to list.
    """
    listed = _list_ticks(entry, ticks)
    if listed[-1] == ticks.last:
        return listed[-MAX_FIRED:]
    too_many_after, too_few_after = ticks
    while True:
        middle = too_many_after + (too_few_after - too_many_after) / 2
        listed = _list_ticks(entry, TickRange(step(entry.schedule, middle) or ticks.last, ticks.last))
        if listed[-1] < ticks.last:
            too_many_after = middle
        elif len(listed) < MAX_FIRED:
            too_few_after = middle
        else:
            return listed[-MAX_FIRED:]


def _list_ticks(entry: CronEntry, ticks: TickRange) -> list[datetime]:
    """Return the ticks of a range, at most twice `MAX_FIRED`: a smaller limit may never be hit by bisection."""
    listed = list(islice(walk(entry.schedule, ticks), 2 * MAX_FIRED))
    # The last tick may be none of the schedule: then the walk does not have it.
    beside = len(listed) < 2 * MAX_FIRED and listed[-1:] != [ticks.last]
    return [*listed, ticks.last] if beside else listed


def _not_fired(
    entry: CronEntry, ticks: TickRange | None, status: TickStatus, reason: TickReason
) -> tuple[NotFired, ...]:
    if ticks is None:
        return ()
    count = sum(1 for _ in islice(walk(entry.schedule, ticks), MAX_COUNTED))
    return (NotFired(first=ticks.first, last=ticks.last, count=count, status=status, reason=reason),)
