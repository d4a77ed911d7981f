"""Tests how workers get the schedules that are due."""

from __future__ import annotations

import anyio
import pytest

from aioq.protocols import Broker, Schedules
from aioq.testing.contracts.schedules_suite import SchedulesSuite

__all__ = ["ScheduleReservationContract"]


class ScheduleReservationContract(SchedulesSuite):
    """Reservations of due schedules."""

    async def test_reserve_schedules_returns_due_ones(self, broker: Broker, schedules: Schedules) -> None:
        """Only schedules that are due are returned, as they are stored, with the broker's clock."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored("late"), now - 10)
        await self.put(schedules, self.stored("soon"), now + 3600)
        await schedules.put_schedule(self.stored("never"), revision="r", due=None)
        stored = await self.found(schedules, "late")
        due = await schedules.reserve_schedules(["q"], ["tasks.work"], limit=10, seconds=7200)
        assert due.schedules == [stored]
        assert now <= due.now <= await broker.time()
        assert due.next_due == pytest.approx(now + 3600 - due.now, abs=0.01)

    async def test_reserve_schedules_without_any_has_no_next_due(self, schedules: Schedules) -> None:
        """Without schedules of the queues and tasks there is nothing to wait for."""
        await self.put(schedules, self.stored(task="tasks.other"))
        await self.put(schedules, self.stored(queue="p"))
        due = await schedules.reserve_schedules(["q"], ["tasks.work"], limit=10, seconds=60)
        assert (due.schedules, due.next_due) == ([], None)

    async def test_reserve_schedules_shares_them(self, schedules: Schedules, peer: Broker) -> None:
        """Workers that ask one after the other get different schedules, and none gets more than it asked for."""
        assert isinstance(peer, Schedules)
        names = [f"report-{n}" for n in range(5)]
        for name in names:
            await self.put(schedules, self.stored(name))
        first, second = await self.reserve(schedules, limit=3), await self.reserve(peer, limit=3)
        assert (len(first), len(second)) == (3, 2)
        assert sorted(first + second) == names
        assert await self.reserve(schedules) == []

    async def test_reserve_schedules_more_due_has_no_wait(self, schedules: Schedules) -> None:
        """As long as further ones are due, `next_due` is not above 0."""
        for name in ("a", "b"):
            await self.put(schedules, self.stored(name))
        due = await schedules.reserve_schedules(["q"], ["tasks.work"], limit=1, seconds=60)
        assert due.next_due is not None
        assert due.next_due <= 0

    async def test_reserve_schedules_concurrently_returns_each_once(self, schedules: Schedules) -> None:
        """Of concurrent calls one gets a schedule."""
        for n in range(20):
            await self.put(schedules, self.stored(f"report-{n}"))
        reserved: list[str] = []

        async def reserve() -> None:
            reserved.extend(await self.reserve(schedules, limit=5))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(reserve)
        assert sorted(reserved) == sorted(f"report-{n}" for n in range(20))

    async def test_reserve_schedules_again_after_reservation(self, schedules: Schedules) -> None:
        """A schedule that its worker did not fire is returned again once the reservation is over."""
        await self.put(schedules, self.stored())
        due = await schedules.reserve_schedules(["q"], ["tasks.work"], limit=10, seconds=self.tick)
        again = await schedules.reserve_schedules(["q"], ["tasks.work"], limit=10, seconds=self.tick)
        assert again.schedules == []
        assert again.next_due is not None
        assert 0 <= again.next_due <= self.tick + 0.01
        await self.pass_time(self.tick * 1.5)
        after = await schedules.reserve_schedules(["q"], ["tasks.work"], limit=10, seconds=self.tick)
        assert after.schedules == due.schedules

    async def test_reserve_schedules_unknown_tasks_hold_nothing_up(self, schedules: Schedules) -> None:
        """Schedules of tasks that the worker does not know are left to others, however many are due before."""
        now = await self.now_of(schedules)
        for n in range(5):
            await self.put(schedules, self.stored(f"other-{n}", task="tasks.öther <x>"), now - 60)
        await self.put(schedules, self.stored("known"), now - 1)
        assert await self.reserve(schedules, limit=2) == ["known"]
        assert await self.reserve(schedules, tasks=("tasks.öther <x>", "tasks.work"), limit=2) == ["other-0", "other-1"]

    async def test_put_schedule_ends_reservation(self, schedules: Schedules) -> None:
        """A changed schedule is due when its put says, although a worker has reserved the one before."""
        await self.put(schedules, self.stored())
        await self.reserve(schedules)
        await self.put(schedules, self.stored(payload=b"[2]"))
        assert await self.reserve(schedules) == ["report"]

    async def test_put_schedule_other_task_moves_it(self, schedules: Schedules) -> None:
        """A schedule whose task is replaced is due for workers of the new task only."""
        await self.put(schedules, self.stored())
        await self.put(schedules, self.stored(task="tasks.other"))
        assert await self.reserve(schedules) == []
        assert await self.reserve(schedules, tasks=("tasks.other",)) == ["report"]
