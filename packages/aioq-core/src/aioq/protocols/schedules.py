"""Defines the optional protocol of a broker that stores schedules at run time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from aioq.model.cron import CronKey, TickOutcome
from aioq.model.schedules import DueSchedules, Firing, PutOutcome, ScheduleRecord, StoredSchedule

__all__ = ["Schedules"]


@runtime_checkable
class Schedules(Protocol):
    """A broker that stores schedules which clients add and change while workers run. `Aarq.schedules` needs it.

    The broker must have a `TickLedger`, too. A schedule has the key of an entry, and its ticks are decided, recorded
    and counted in the ledger as those of an entry are. `cron_status` returns the status of a stored schedule unless an
    app has registered an entry of its key; its `armed_at` is the `since` of the schedule. `cron_statuses` leaves stored
    schedules out, and `register_crons` does not retire them. `pause_cron` and `resume_cron` work on them.
    """

    async def put_schedule(self, schedule: StoredSchedule, *, revision: str, due: float | None) -> PutOutcome:
        """Store a schedule, or replace that of its key. `aioq.model.firing.decide_put` is the reference.

        1. `DECLARED`: an app has registered an entry of this key that is not retired. Nothing is stored.
        2. `TAKEN`: another app has stored a schedule of this key. Nothing is stored.
        3. `UNCHANGED`: an equal schedule is stored. It keeps its revision and what it owes.
        4. `ADDED`, and `CHANGED` with another fingerprint: the schedule owes no tick up to the broker's now.
        5. `CHANGED` with the same fingerprint: it owes what the one before owed, and is due at the earlier of the
           two moments.

        Args:
            schedule: The schedule.
            revision: A new id of at most 64 printable characters without blanks.
            due: When workers have to look at it first; None for never.

        Raises:
            BrokerFull: There is no memory for it.
        """
        ...

    async def get_schedule(self, cron: CronKey) -> ScheduleRecord | None:
        """Return a schedule; None if none is stored under the key."""
        ...

    async def list_schedules(self, app: str, *, after: CronKey | None = None, limit: int = 100) -> list[ScheduleRecord]:
        """Return schedules of an app, sorted by queue and name, from the first key that is greater than `after`."""
        ...

    async def remove_schedule(self, cron: CronKey) -> bool:
        """Remove a schedule; False if none is stored under the key. Its jobs and the records of its ticks stay."""
        ...

    async def wait_for_schedules(self, queues: Sequence[str], tasks: Collection[str], *, timeout: float) -> None:
        """Wait until a schedule of these queues was put, or one of these tasks is due, at most `timeout` seconds.

        A put before the call and after the caller's latest reservation counts, too. A broker that cannot notice it
        returns after at most one second, so that workers ask again.
        """
        ...

    async def reserve_schedules(
        self, queues: Sequence[str], tasks: Collection[str], *, limit: int, seconds: float
    ) -> DueSchedules:
        """Return schedules of these queues and tasks that are due, and reserve them.

        1. For `seconds`, no other call returns a reserved schedule, so that workers share many that are due together.
           A firing, a put and a removal end the reservation.
        2. A schedule whose task is not among `tasks` is not returned, and keeps none back that is.
        3. A worker whose answer is lost does not repeat the call: the reservation ends by itself.
        """
        ...

    async def fire_schedules(self, firings: Sequence[Firing]) -> list[TickOutcome]:
        """Decide on up to 500 firings of different schedules, independently; return the outcomes in the same order.

        Each firing is one step. `aioq.model.firing.decide_firing` is the reference. The first rule that applies gives
        the outcome:

        1. `LOST`: the schedule is gone, or has another revision or `due`. Nothing is stored. So a firing may be
           repeated, and of several workers one fires.
        2. `SUPERSEDED`: an app has registered an entry of this key that is not retired. The schedule moves on to
           `until` and `next_due`, and nothing is fired.
        3. `WON`: the claim has no ticks. The schedule moves on, and `not_fired` is recorded.
        4. As `TickLedger.claim_tick` decides on the claim from its rule 3. With `EARLY` nothing is stored. Otherwise
           the schedule moves on, and with `WON`, `PAUSED` and `BUSY` `not_fired` is recorded, too.

        Raises:
            BrokerFull: There is no memory for the jobs. Firings that were not decided are unchanged.
        """
        ...
