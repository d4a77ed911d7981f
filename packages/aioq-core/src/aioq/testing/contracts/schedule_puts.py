"""Tests how schedules are stored, listed and removed."""

from __future__ import annotations

import anyio
import pytest

from aioq.model.cron import CronKey
from aioq.model.schedules import PutOutcome
from aioq.protocols import Broker, Schedules, TickLedger
from aioq.testing.contracts.ledger_suite import MINUTELY
from aioq.testing.contracts.schedules_suite import SchedulesSuite

__all__ = ["SchedulePutContract"]

ADDED, CHANGED, UNCHANGED = PutOutcome.ADDED, PutOutcome.CHANGED, PutOutcome.UNCHANGED
DECLARED, TAKEN = PutOutcome.DECLARED, PutOutcome.TAKEN


class SchedulePutContract(SchedulesSuite):
    """Puts, look-ups and removals."""

    async def test_put_schedule_stores_it_without_loss(self, schedules: Schedules) -> None:
        """A new schedule is returned as it was put, and owes no tick up to now."""
        schedule = self.stored(payload=b"\x00\xff\n' ", tz="Europe/Berlin", options={"grace": "90"})
        before = await self.now_of(schedules)
        outcome = await schedules.put_schedule(schedule, revision="first", due=before + 7.25)
        record = await self.found(schedules)
        assert (outcome, record.schedule, record.revision) == (ADDED, schedule, "first")
        assert record.due == before + 7.25
        assert before <= record.since <= await self.now_of(schedules) + 0.125

    async def test_put_schedule_again_changes_nothing(self, schedules: Schedules) -> None:
        """An equal schedule keeps its revision, what it owes, and when it is due."""
        await self.put(schedules, self.stored())
        before = await self.found(schedules)
        await self.pass_time(self.tick)
        assert await self.put(schedules, self.stored()) is UNCHANGED
        assert await self.found(schedules) == before

    async def test_put_schedule_other_arguments_keeps_owed_ticks(self, schedules: Schedules) -> None:
        """With the same fingerprint the schedule owes what the one before owed, at the earlier of the two moments."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now + 5)
        before = await self.found(schedules)
        await self.pass_time(self.tick)
        assert await self.put(schedules, self.stored(payload=b"[2]"), now + 90) is CHANGED
        after = await self.found(schedules)
        assert (after.schedule.job.payload, after.since, after.due) == (b"[2]", before.since, before.due)
        assert after.revision != before.revision
        await self.put(schedules, self.stored(payload=b"[3]"), now + 1)
        assert (await self.found(schedules)).due == now + 1

    async def test_put_schedule_other_fingerprint_owes_nothing(self, schedules: Schedules) -> None:
        """With another fingerprint it owes no tick up to now, and is due when the caller says."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        before = await self.found(schedules)
        await self.pass_time(self.tick)
        assert await self.put(schedules, self.stored(fingerprint=MINUTELY), now + 90) is CHANGED
        after = await self.found(schedules)
        assert after.since >= before.since + self.tick / 2
        assert after.due == now + 90

    async def test_put_schedule_declared_name_is_refused(self, schedules: Schedules, ledger: TickLedger) -> None:
        """A name that the code of an app declares in the queue is refused, until the entry is retired."""
        await self.register(ledger, self.entry())
        assert await self.put(schedules, self.stored()) is DECLARED
        assert await schedules.get_schedule(self.key()) is None
        await self.register(ledger, version="2")
        assert await self.put(schedules, self.stored()) is ADDED

    async def test_put_schedule_of_other_app_is_refused(self, schedules: Schedules) -> None:
        """An app does not replace the schedule of another app; another queue has names of its own."""
        await self.put(schedules, self.stored())
        assert await self.put(schedules, self.stored(app="other", payload=b"[2]")) is TAKEN
        assert (await self.found(schedules)).schedule.app == "app"
        assert await self.put(schedules, self.stored(app="other", queue="p")) is ADDED

    async def test_put_schedule_concurrently_stores_one(self, schedules: Schedules) -> None:
        """Of many puts of one new schedule one adds it."""
        outcomes: list[PutOutcome] = []

        async def put() -> None:
            outcomes.append(await self.put(schedules, self.stored(), 1e9))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(put)
        assert sorted(outcome.value for outcome in outcomes) == ["added", *["unchanged"] * 9]

    async def test_get_schedule_unknown_is_none(self, schedules: Schedules, ledger: TickLedger) -> None:
        """Nothing is stored under a key that only the code declares, or that is that of another queue."""
        await self.put(schedules, self.stored())
        await self.register(ledger, self.entry("code"))
        assert [await schedules.get_schedule(key) for key in (self.key("code"), CronKey("p", "report"))] == [None, None]

    async def test_list_schedules_is_sorted_and_paged(self, schedules: Schedules, peer: Broker) -> None:
        """The schedules of an app come sorted by queue and name, page by page, also on another connection."""
        keys = [CronKey(queue, name) for queue in ("p", "q") for name in ("a", "b:1", "b.2")]
        for queue, name in sorted((key.queue, key.name) for key in keys):
            await self.put(schedules, self.stored(name, queue=queue))
        await self.put(schedules, self.stored("aa", app="other"))
        assert isinstance(peer, Schedules)
        pages: list[list[CronKey]] = []
        after: CronKey | None = None
        for _ in range(3):
            page = await peer.list_schedules("app", after=after, limit=4)
            after = page[-1].schedule.key if page else after
            pages.append([record.schedule.key for record in page])
        assert pages == [sorted(keys)[:4], sorted(keys)[4:], []]
        assert [record.schedule.key.name for record in await peer.list_schedules("other")] == ["aa"]
        assert await peer.list_schedules("app", limit=0) == []

    async def test_remove_schedule_ends_it(self, schedules: Schedules) -> None:
        """A removed schedule is neither listed nor due, and a new one of its name starts without a past."""
        await self.put(schedules, self.stored())
        await self.put(schedules, self.stored(queue="p"))
        before = await self.found(schedules)
        await self.pass_time(self.tick)
        assert [await schedules.remove_schedule(self.key()) for _ in range(2)] == [True, False]
        assert await schedules.get_schedule(self.key()) is None
        assert [record.schedule.key.queue for record in await schedules.list_schedules("app")] == ["p"]
        assert await self.reserve(schedules) == []
        assert await self.put(schedules, self.stored()) is ADDED
        assert (await self.found(schedules)).since > before.since

    async def test_register_crons_keeps_stored_schedules(self, schedules: Schedules, ledger: TickLedger) -> None:
        """A registration of the app retires no stored schedule, and lists none."""
        await self.put(schedules, self.stored())
        assert (await self.register(ledger, self.entry("code"))).removed == []
        assert [status.definition.name for status in await ledger.cron_statuses("app")] == ["code"]
        assert (await self.found(schedules)).schedule == self.stored()

    async def test_cron_status_of_stored_schedule(self, schedules: Schedules, ledger: TickLedger) -> None:
        """It has the definition of the schedule, unless the code declares an entry of its name."""
        schedule = self.stored(tz="Europe/Berlin")
        await self.put(schedules, schedule)
        status = await ledger.cron_status(self.key())
        assert status is not None
        assert (status.definition, status.app, status.retired_at) == (schedule.definition, "app", None)
        assert status.armed_at == (await self.found(schedules)).since
        await self.register(ledger, self.entry(), app="other")
        status = await ledger.cron_status(self.key())
        assert status is not None
        assert (status.definition, status.app) == (self.entry(), "other")

    async def test_pause_cron_stored_schedule_shows_pause(self, schedules: Schedules, ledger: TickLedger) -> None:
        """The pause of a stored schedule is in its status until it is resumed."""
        await self.put(schedules, self.stored())
        assert await ledger.pause_cron(self.key(), note="flood", by="me") is True
        status = await ledger.cron_status(self.key())
        assert status is not None
        assert status.pause is not None
        assert status.pause.note == "flood"
        assert await ledger.resume_cron(self.key()) is True
        status = await ledger.cron_status(self.key())
        assert status is not None
        assert status.pause is None

    @pytest.mark.parametrize("queues", [("q",), ("p", "q")])
    async def test_wait_for_schedules_ends_after_put(
        self, schedules: Schedules, peer: Broker, queues: tuple[str, ...]
    ) -> None:
        """A put by another client in one of the queues ends a wait, or the wait ends by itself."""
        assert isinstance(peer, Schedules)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.reserve_in_time, schedules, queues)
            await self.settle_down()
            await self.put(peer, self.stored())
            await self.pass_time(1.0)

    async def test_wait_for_schedules_counts_earlier_put(self, schedules: Schedules) -> None:
        """A wait that begins after a put ends as well."""
        async with anyio.create_task_group() as tasks:
            # A broker that begins to listen with its first wait may end that one at once.
            tasks.start_soon(self.reserve_in_time, schedules, ("p",))
            await self.settle_down()
            await self.put(schedules, self.stored())
            async with anyio.create_task_group() as wait:
                wait.start_soon(self.wait_in_time, schedules, ("q",))
                await self.settle_down()
                await self.pass_time(1.0)
            tasks.cancel_scope.cancel()

    async def test_wait_for_schedules_ends_when_one_is_due(self, schedules: Schedules) -> None:
        """A wait ends when the next schedule comes due, or by itself."""
        await self.put(schedules, self.stored(), await self.now_of(schedules) + self.tick)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.reserve_in_time, schedules, ("q",))
            await self.settle_down()
            await self.pass_time(1.0)

    async def reserve_in_time(self, schedules: Schedules, queues: tuple[str, ...]) -> None:
        """Wait until a schedule can be reserved, as a worker does."""
        while not await self.reserve(schedules, queues=queues):
            await self.wait_in_time(schedules, queues)

    async def wait_in_time(self, schedules: Schedules, queues: tuple[str, ...]) -> None:
        """Wait for a minute at most, and fail if nothing ended the wait in a few seconds of the host's time."""
        with anyio.fail_after(30):
            await schedules.wait_for_schedules(queues, ["tasks.work"], timeout=60)
