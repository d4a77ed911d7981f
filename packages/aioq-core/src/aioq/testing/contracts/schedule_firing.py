"""Tests how schedules are fired."""

from __future__ import annotations

import anyio
from msgspec import structs

from aioq.model.cron import TickOutcome, TickReason, TickStatus
from aioq.model.ids import tick_id
from aioq.model.job import Completed
from aioq.protocols import Broker, Schedules, TickLedger
from aioq.testing.contracts.schedules_suite import SchedulesSuite

__all__ = ["ScheduleFiringContract"]

WON, LOST, PAUSED, BUSY = TickOutcome.WON, TickOutcome.LOST, TickOutcome.PAUSED, TickOutcome.BUSY
EARLY, SUPERSEDED = TickOutcome.EARLY, TickOutcome.SUPERSEDED


class ScheduleFiringContract(SchedulesSuite):
    """Firings: each is one step, decides each tick once, and moves the schedule on."""

    async def test_fire_schedules_enqueues_and_moves_on(self, broker: Broker, schedules: Schedules) -> None:
        """The job of the tick is stored, the tick is recorded, and the schedule is due at its next tick."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        record = await self.found(schedules)
        now = self.eighth(record.since)
        await self.pass_time(self.tick)
        assert await self.fire(schedules, self.firing(record, now + 0.25, next_due=now + 3600)) is WON
        (lease,) = await self.claim(broker)
        assert (lease.job_id, lease.task, lease.payload) == (tick_id("report", now + 0.25), "tasks.work", b"[1]")
        assert isinstance(broker, TickLedger)
        assert await self.recorded(broker) == [(now + 0.25, "fired", "")]
        after = await self.found(schedules)
        assert (after.since, after.due, after.revision) == (now + 0.25, now + 3600, record.revision)
        assert await self.reserve(schedules) == []

    async def test_fire_schedules_again_is_lost(self, broker: Broker, schedules: Schedules) -> None:
        """A firing that is repeated, or made by another worker from the same state, changes nothing."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        firing = self.firing(await self.found(schedules), now + 0.25, next_due=now + 0.5)
        assert await self.fire(schedules, firing) is WON
        other = structs.replace(firing, claim=structs.replace(firing.claim, worker_id="w2", request_id="other"))
        after = await self.found(schedules)
        assert [await self.fire(schedules, one) for one in (firing, other)] == [LOST, LOST]
        assert await self.found(schedules) == after
        assert len(await self.claim(broker)) == 1

    async def test_fire_schedules_concurrently_fires_once(self, broker: Broker, schedules: Schedules) -> None:
        """Of concurrent firings of one tick one wins."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        record = await self.found(schedules)
        outcomes: list[TickOutcome] = []

        async def fire(worker: str) -> None:
            firing = self.firing(record, now + 0.25, next_due=now + 60, worker=worker)
            outcomes.append(await self.fire(schedules, firing))

        async with anyio.create_task_group() as tasks:
            for n in range(8):
                tasks.start_soon(fire, f"w{n}")
        assert sorted(outcome.value for outcome in outcomes) == [*["lost"] * 7, "won"]
        assert len(await self.claim(broker)) == 1

    async def test_fire_schedules_changed_or_removed_is_lost(self, broker: Broker, schedules: Schedules) -> None:
        """A worker that has reserved an earlier revision fires nothing, also if the same schedule was put anew."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        old = await self.found(schedules)
        await self.put(schedules, self.stored(payload=b"[2]"), now)
        assert await self.fire(schedules, self.firing(old, now + 0.25)) is LOST
        await schedules.remove_schedule(self.key())
        assert await self.fire(schedules, self.firing(old, now + 0.25)) is LOST
        await self.put(schedules, self.stored(), now)
        assert await self.fire(schedules, self.firing(old, now + 0.25)) is LOST
        assert (await self.found(schedules)).due == now
        assert await self.claim(broker) == []

    async def test_fire_schedules_without_further_tick_ends(self, schedules: Schedules) -> None:
        """Without a next moment the schedule stays stored and is never due."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        assert await self.fire(schedules, self.firing(await self.found(schedules), now + 0.25)) is WON
        assert (await self.found(schedules)).due is None
        due = await schedules.reserve_schedules(["q"], ["tasks.work"], limit=10, seconds=60)
        assert (due.schedules, due.next_due) == ([], None)

    async def test_fire_schedules_early_stores_nothing(self, broker: Broker, schedules: Schedules) -> None:
        """A tick that is more than a second ahead of the broker is not fired, and the schedule stays due."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        before = await self.found(schedules)
        assert await self.fire(schedules, self.firing(before, now + 3600, next_due=now + 7200)) is EARLY
        assert await self.found(schedules) == before
        assert await self.claim(broker) == []

    async def test_fire_schedules_paused_records_skip(self, broker: Broker, schedules: Schedules) -> None:
        """A tick of a paused schedule is recorded as skipped; after a resume the next one fires."""
        assert isinstance(broker, TickLedger)
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        await broker.pause_cron(self.key(), note="", by="me")
        assert await self.fire(schedules, self.firing(await self.found(schedules), now, next_due=now + 0.25)) is PAUSED
        assert await self.recorded(broker) == [(now, "skipped", "paused")]
        await broker.resume_cron(self.key())
        later = await self.now_of(schedules) + 0.5
        assert await self.fire(schedules, self.firing(await self.found(schedules), later)) is WON
        assert [lease.job_id for lease in await self.claim(broker)] == [tick_id("report", later)]

    async def test_fire_schedules_overlap_skip_is_busy(self, broker: Broker, schedules: Schedules) -> None:
        """With `skip` a tick is skipped while the job of an earlier one has not ended."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        for tick, next_due, expected in ((now, now + 0.25, WON), (now + 0.25, now + 0.5, BUSY)):
            firing = self.firing(await self.found(schedules), tick, next_due=next_due, overlap="skip")
            assert await self.fire(schedules, firing) is expected
        await broker.settle([Completed(lease=await self.claim_one(broker))])
        firing = self.firing(await self.found(schedules), now + 0.5, overlap="skip")
        assert await self.fire(schedules, firing) is WON

    async def test_fire_schedules_declared_fires_nothing(self, broker: Broker, schedules: Schedules) -> None:
        """If the code declares an entry of the name, the schedule only moves on; a retired entry does not count."""
        assert isinstance(broker, TickLedger)
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        await self.register(broker, self.entry())
        await self.pass_time(self.tick)
        firing = self.firing(await self.found(schedules), now + 0.25, next_due=now + 0.5)
        assert await self.fire(schedules, firing) is SUPERSEDED
        assert (await self.found(schedules)).due == now + 0.5
        assert await self.claim(broker) == []
        await self.register(broker, version="2")
        later = await self.now_of(schedules) + 0.5
        assert await self.fire(schedules, self.firing(await self.found(schedules), later)) is WON
        assert len(await self.claim(broker)) == 1

    async def test_fire_schedules_records_what_does_not_fire(self, broker: Broker, schedules: Schedules) -> None:
        """Ticks that a policy leaves out are recorded in the same step, with and without a tick that fires."""
        assert isinstance(broker, TickLedger)
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        now = self.eighth((await self.found(schedules)).since)

        def missed(tick: float) -> tuple[object, ...]:
            return (self.tick_record(tick, TickStatus.MISSED, reason=TickReason.NO_WORKER),)

        firing = self.firing(await self.found(schedules), now, next_due=now + 0.25)
        assert await self.fire(schedules, firing, not_fired=missed(now - 1)) is WON
        firing = self.firing(await self.found(schedules), next_due=now + 0.75)
        assert await self.fire(schedules, firing, until=now + 0.5, not_fired=missed(now + 0.5)) is WON
        assert await self.recorded(broker) == [
            (now + 0.5, "missed", "no worker was up"), (now, "fired", ""), (now - 1, "missed", "no worker was up"),
        ]  # fmt: skip
        assert (await self.found(schedules)).since == now + 0.5
        assert len(await self.claim(broker)) == 1

    async def test_fire_schedules_without_ticks_only_moves(self, broker: Broker, schedules: Schedules) -> None:
        """A worker that finds no owed tick moves the schedule, which owes what it owed."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        before = await self.found(schedules)
        assert await self.fire(schedules, self.firing(before, next_due=now + 60)) is WON
        after = await self.found(schedules)
        assert (after.since, after.due) == (before.since, now + 60)
        assert await self.claim(broker) == []

    async def test_fire_schedules_decides_each(self, broker: Broker, schedules: Schedules) -> None:
        """Firings of one call, of several tasks and queues, are independent; the outcomes are in their order."""
        now = await self.now_of(schedules)
        keys = (("a", "q", "tasks.work"), ("b", "p", "tasks.work"), ("c", "q", "tasks.other"), ("d", "q", "tasks.work"))
        for name, queue, task in keys:
            await self.put(schedules, self.stored(name, queue=queue, task=task), now)
        due = await schedules.reserve_schedules(["p", "q"], ["tasks.work", "tasks.other"], limit=10, seconds=60)
        records = sorted(due.schedules, key=lambda record: record.schedule.key.name)
        await schedules.remove_schedule(self.key("d"))
        firings = [self.firing(record, now + 0.25, next_due=now + 60) for record in records]
        assert await schedules.fire_schedules(firings) == [WON, WON, WON, LOST]
        leases = await self.claim(broker, queues=("p", "q"))
        assert sorted((lease.queue, lease.job_id) for lease in leases) == [
            ("p", tick_id("b", now + 0.25)), ("q", tick_id("a", now + 0.25)), ("q", tick_id("c", now + 0.25)),
        ]  # fmt: skip

    async def test_fire_schedules_hundred_at_once(self, broker: Broker, schedules: Schedules) -> None:
        """One call fires a hundred schedules."""
        now = await self.now_of(schedules)
        for n in range(100):
            await self.put(schedules, self.stored(f"s{n}"), now)
        due = await schedules.reserve_schedules(["q"], ["tasks.work"], limit=100, seconds=60)
        firings = [self.firing(record, now, next_due=now + 60) for record in due.schedules]
        assert await schedules.fire_schedules(firings) == [WON] * 100
        assert len({lease.job_id for lease in await self.claim(broker, 200)}) == 100

    async def test_fire_schedules_signed_payload_is_that_of_claim(self, broker: Broker, schedules: Schedules) -> None:
        """The job has the payload that the claim gives for its tick, and not the stored one."""
        now = await self.now_of(schedules)
        await self.put(schedules, self.stored(), now)
        firing = self.firing(await self.found(schedules), now, payloads=(b"signed",))
        assert await self.fire(schedules, firing) is WON
        assert (await self.claim_one(broker)).payload == b"signed"
