"""Implements the schedules of the memory broker that clients store at run time."""

from __future__ import annotations

import heapq
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from aioq.backends.memory.jobs import JobTable
from aioq.backends.memory.ledger import TickLedgerRole
from aioq.model.cron import CronKey, CronStatus, TickOutcome
from aioq.model.firing import ScheduleState, decide_firing, decide_put
from aioq.model.ledger import to_milliseconds
from aioq.model.schedules import DueSchedules, Firing, PutOutcome, ScheduleRecord, StoredSchedule

__all__ = ["SchedulesRole"]


class ScheduleIndex:
    """Finds the schedules of one queue and task that are due, by the moment at which workers have to look at them."""

    def __init__(self) -> None:
        self._moments: dict[CronKey, int] = {}
        self._heap: list[tuple[int, CronKey]] = []
        """Has an item for each moment that was set. Those that are no longer in `_moments` are skipped."""

    def set(self, key: CronKey, moment: int | None) -> None:
        """Set the moment of a schedule; None removes it."""
        if moment is None:
            self._moments.pop(key, None)
        else:
            self._moments[key] = moment
            heapq.heappush(self._heap, (moment, key))

    def first(self) -> tuple[int, CronKey] | None:
        """Return the earliest moment and its schedule."""
        while self._heap and self._moments.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None


class SchedulesRole(TickLedgerRole):
    """Implements `aioq.protocols.Schedules`."""

    def __init__(self, table: JobTable) -> None:
        super().__init__(table)
        self._schedules: dict[CronKey, ScheduleState] = {}
        self._keys: list[CronKey] = []
        """The keys of all schedules, sorted."""
        self._indexes: defaultdict[tuple[str, str], ScheduleIndex] = defaultdict(ScheduleIndex)

    async def put_schedule(self, schedule: StoredSchedule, *, revision: str, due: float | None) -> PutOutcome:
        """Store a schedule; see `aioq.protocols.Schedules.put_schedule`."""
        now, key = self._table.now(), schedule.key
        known = self._schedules.get(key)
        outcome, state = decide_put(
            known, schedule, revision=revision, due=due, declared=self._is_declared(key), now=now
        )
        if state is not None:
            if known is None:
                insort(self._keys, key)
            else:
                self._index(known.schedule).set(key, None)
            self._store(state)
            self._table.waiters.wake("schedule", key.queue)
        return outcome

    async def get_schedule(self, cron: CronKey) -> ScheduleRecord | None:
        """Return a schedule; see `aioq.protocols.Schedules.get_schedule`."""
        state = self._schedules.get(cron)
        return state.record() if state else None

    async def list_schedules(self, app: str, *, after: CronKey | None = None, limit: int = 100) -> list[ScheduleRecord]:
        """Return schedules of an app; see `aioq.protocols.Schedules.list_schedules`."""
        first = 0 if after is None else bisect_right(self._keys, after)
        states = (self._schedules[key] for key in self._keys[first:])
        return [state.record() for state in states if state.schedule.app == app][: max(limit, 0)]

    async def remove_schedule(self, cron: CronKey) -> bool:
        """Remove a schedule; see `aioq.protocols.Schedules.remove_schedule`."""
        state = self._schedules.pop(cron, None)
        if state is None:
            return False
        self._keys.remove(cron)
        self._index(state.schedule).set(cron, None)
        return True

    async def reserve_schedules(
        self, queues: Sequence[str], tasks: Collection[str], *, limit: int, seconds: float
    ) -> DueSchedules:
        """Return due schedules and reserve them; see `aioq.protocols.Schedules.reserve_schedules`."""
        now = self._table.now()
        indexes = self._indexes_of(queues, tasks)
        reserved: list[ScheduleRecord] = []
        for index in indexes:
            for key in _due(index, to_milliseconds(now), limit - len(reserved)):
                index.set(key, to_milliseconds(now + seconds))
                reserved.append(self._schedules[key].record())
        firsts = [first[0] for index in indexes if (first := index.first())]
        return DueSchedules(now=now, schedules=reserved, next_due=min(firsts) / 1000 - now if firsts else None)

    async def fire_schedules(self, firings: Sequence[Firing]) -> list[TickOutcome]:
        """Decide on firings; see `aioq.protocols.Schedules.fire_schedules`."""
        return [self._fire(firing) for firing in firings]

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return the status of an entry or a schedule; see `aioq.protocols.Schedules`."""
        state = self._schedules.get(cron)
        if state is None or self._is_declared(cron):
            return await super().cron_status(cron)
        now = self._table.now()
        entry, schedule = self._entry(cron, now), state.schedule
        return entry.status_as(schedule.definition, schedule.app, state.since / 1000, now, self._table.jobs.get)

    def _next_look(self, queues: Sequence[str], tasks: Collection[str]) -> float | None:
        """Return in how many seconds workers have to look at a schedule of these queues and tasks; None without one."""
        indexes = self._indexes_of(queues, tasks)
        firsts = [first[0] for index in indexes if (first := index.first())]
        return max(0.0, min(firsts) / 1000 - self._table.now()) if firsts else None

    def _fire(self, firing: Firing) -> TickOutcome:
        now, key = self._table.now(), CronKey(firing.claim.queue, firing.claim.name)
        entry = self._entry(key, now)
        decision = decide_firing(
            self._schedules.get(key),
            entry.with_job(self._table.jobs.get),
            firing,
            declared=self._is_declared(key),
            now=now,
        )
        if decision.schedule is not None:
            self._store(decision.schedule)
        if decision.entry is not None:
            entry.state = decision.entry
        for record in decision.records:
            entry.history.put(record)
        for job in decision.jobs:
            # The job of a tick may exist already, for example from a backfill.
            if job.key not in self._table.jobs:
                self._table.add(job, now)
        return decision.outcome

    def _store(self, state: ScheduleState) -> None:
        self._schedules[state.schedule.key] = state
        self._index(state.schedule).set(state.schedule.key, state.due)

    def _index(self, schedule: StoredSchedule) -> ScheduleIndex:
        return self._indexes[schedule.key.queue, schedule.job.task]

    def _indexes_of(self, queues: Sequence[str], tasks: Collection[str]) -> list[ScheduleIndex]:
        return [index for (queue, task), index in self._indexes.items() if queue in queues and task in tasks]

    def _is_declared(self, key: CronKey) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry.definition is not None and entry.retired_at is None


def _due(index: ScheduleIndex, now: int, limit: int) -> Iterator[CronKey]:
    """Yield the keys of due schedules. The caller moves each before it takes the next."""
    for _ in range(limit):
        first = index.first()
        if first is None or first[0] > now:
            return
        yield first[1]
