"""What a ledger must do when apps register their entries, and when workers say that they are up."""

from __future__ import annotations

import anyio
import pytest

from aioq.model.cron import CronChanges, CronKey, TickOutcome
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import HOURLY, LedgerSuite

__all__ = ["CronRegistrationContract"]

WON, LOST, SUPERSEDED = TickOutcome.WON, TickOutcome.LOST, TickOutcome.SUPERSEDED

NOTHING = CronChanges(added=[], changed=[], removed=[])


class CronRegistrationContract(LedgerSuite):
    """Deploys: which entries there are, and which version of an app."""

    async def names(self, ledger: TickLedger, app: str | None = None) -> list[str]:
        """Return the names of the entries that are not retired."""
        return [status.definition.name for status in await ledger.cron_statuses(app) if status.retired_at is None]

    async def test_a_registration_says_what_it_changed(self, ledger: TickLedger) -> None:
        """Added, changed and removed entries, each by queue and name."""
        first = [self.entry("b"), self.entry("a"), self.entry("z", queue="p")]
        added = [CronKey("p", "z"), self.key("a"), self.key("b")]
        assert await self.register(ledger, *first) == CronChanges(added=added, changed=[], removed=[])
        second = [self.entry("b", HOURLY), self.entry("c"), self.entry("z", queue="p")]
        assert await self.register(ledger, *second, version="2") == CronChanges(
            added=[self.key("c")], changed=[self.key("b")], removed=[self.key("a")]
        )

    async def test_registering_again_changes_nothing(self, broker: Broker, ledger: TickLedger) -> None:
        """Every worker registers when it starts; the entry goes on as before."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        await self.pass_time(self.tick)
        assert await self.register(ledger, self.entry()) == NOTHING
        assert await self.status(ledger) == before
        assert (await self.bid(ledger, await broker.time())).previous == before.last_tick

    async def test_many_workers_may_register_at_once(self, broker: Broker, ledger: TickLedger) -> None:
        """A fleet that starts together ends with the entries of one registration."""
        crons = [self.entry(name) for name in "abc"]
        async with anyio.create_task_group() as tg:
            for _ in range(8):
                tg.start_soon(lambda: self.register(ledger, *crons))
        assert await self.names(ledger) == ["a", "b", "c"]
        assert (await self.bid(ledger, await broker.time() + 0.5, name="b")).outcome is WON
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == "1"

    async def test_a_new_entry_owes_nothing_of_the_past(self, broker: Broker, ledger: TickLedger) -> None:
        """Its ticks begin after its registration, and so does what its first winner answers for."""
        before = await broker.time()
        await self.register(ledger, self.entry())
        status = await self.status(ledger)
        assert before - 0.002 <= status.armed_at <= await broker.time()
        assert status.last_tick == pytest.approx(status.armed_at, abs=0.002)
        assert (await self.bid(ledger, before - 60)).outcome is LOST
        reply = await self.bid(ledger, before + 0.9)
        assert (reply.outcome, reply.previous) == (WON, status.last_tick)

    async def test_a_changed_entry_owes_nothing_of_the_past(self, broker: Broker, ledger: TickLedger) -> None:
        """It is armed anew; a tick that was won stays won."""
        await self.register(ledger, self.entry())
        now = await broker.time()
        await self.bid(ledger, now + 0.5)
        await self.register(ledger, self.entry(fingerprint=HOURLY), version="2")
        assert (await self.bid(ledger, now, fingerprint=HOURLY)).outcome is LOST
        assert (await self.bid(ledger, now + 0.5, fingerprint=HOURLY)).outcome is LOST
        assert (await self.bid(ledger, now + 0.9, fingerprint=HOURLY)).previous == pytest.approx(now + 0.5, abs=0.002)

    async def test_what_else_changes_in_an_entry_arms_nothing(self, ledger: TickLedger) -> None:
        """Options are shown as the latest registration has them, and the past is kept."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        await self.pass_time(self.tick)
        changed = self.entry(options={"grace": "120"}, enabled=False)
        assert await self.register(ledger, changed, version="2") == NOTHING
        after = await self.status(ledger)
        assert (after.definition, after.armed_at, after.last_tick) == (changed, before.armed_at, before.last_tick)

    async def test_a_disabled_entry_is_superseded(self, broker: Broker, ledger: TickLedger) -> None:
        """Workers of an older version that would still fire it may not, until it is enabled again."""
        await self.register(ledger, self.entry())
        now = await broker.time()
        assert (await self.bid(ledger, now + 0.1)).outcome is TickOutcome.WON
        await self.register(ledger, self.entry(enabled=False), version="2")
        assert (await self.bid(ledger, now + 0.2)).outcome is TickOutcome.SUPERSEDED
        await self.register(ledger, self.entry())
        assert (await self.bid(ledger, now + 0.9)).outcome is TickOutcome.WON

    async def test_an_entry_that_is_enabled_again_owes_nothing_of_the_past(self, ledger: TickLedger) -> None:
        """It was not to fire while it was disabled."""
        await self.register(ledger, self.entry(enabled=False))
        before = await self.status(ledger)
        await self.pass_time(self.tick)
        await self.register(ledger, self.entry(), version="2")
        assert (await self.status(ledger)).armed_at >= before.armed_at + self.tick / 2

    async def test_an_older_version_is_superseded(self, broker: Broker, ledger: TickLedger) -> None:
        """While a deploy is rolling, workers with the old schedule, or with an entry that was removed, fire nothing."""
        await self.register(ledger, self.entry(), self.entry("old"))
        await self.register(ledger, self.entry(fingerprint=HOURLY), version="2")
        now = await broker.time()
        assert (await self.bid(ledger, now + 0.5)).outcome is SUPERSEDED
        assert (await self.bid(ledger, now + 0.5, name="old")).outcome is SUPERSEDED
        assert (await self.bid(ledger, now + 0.5, fingerprint=HOURLY)).outcome is WON
        assert await self.told(ledger, "old") == []

    async def test_an_older_version_may_come_back(self, broker: Broker, ledger: TickLedger) -> None:
        """A deploy that is rolled back registers the old entries, which then fire; the others are superseded."""
        await self.register(ledger, self.entry())
        await self.register(ledger, self.entry(fingerprint=HOURLY), self.entry("new"), version="2")
        changes = await self.register(ledger, self.entry())
        assert changes == CronChanges(added=[], changed=[self.key()], removed=[self.key("new")])
        now = await broker.time()
        assert (await self.bid(ledger, now + 0.5, fingerprint=HOURLY)).outcome is SUPERSEDED
        assert (await self.bid(ledger, now + 0.5, name="new")).outcome is SUPERSEDED
        assert (await self.bid(ledger, now + 0.5)).outcome is WON

    async def test_a_removed_entry_is_retired(self, broker: Broker, ledger: TickLedger) -> None:
        """It is known still, with all that it did, and says when it was retired."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now)
        await self.register(ledger, self.entry())
        await self.register(ledger, version="2")
        (status,) = await ledger.cron_statuses("app")
        assert (status.retired_at or 0) >= now - 0.002
        assert status.counts.fired == 1
        assert await self.told(ledger) == [(now, "fired", "")]

    async def test_a_retired_entry_that_returns_is_new(self, ledger: TickLedger) -> None:
        """It is armed: it was not to fire while it was away."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        await self.register(ledger, version="2")
        await self.pass_time(self.tick)
        assert (await self.register(ledger, self.entry(), version="3")).added == [self.key()]
        after = await self.status(ledger)
        assert (after.retired_at, after.armed_at > before.armed_at) == (None, True)

    async def test_apps_of_one_namespace_leave_each_other_alone(self, broker: Broker, ledger: TickLedger) -> None:
        """Each has its own version, and retires its own entries."""
        await self.register(ledger, self.entry("ours"))
        await self.register(ledger, self.entry("theirs"), app="other", version="9")
        await self.register(ledger, version="2")
        assert await self.names(ledger) == ["theirs"]
        assert [status.app for status in await ledger.cron_statuses()] == ["app", "other"]
        assert [status.definition.name for status in await ledger.cron_statuses("other")] == ["theirs"]
        assert (await ledger.renew_registration("app", "2", ttl=60)).version == "2"
        assert (await ledger.renew_registration("other", "9", ttl=60)).version == "9"
        assert (await self.bid(ledger, await broker.time() + 0.5, name="theirs")).outcome is WON

    async def test_an_entry_belongs_to_the_latest_app_that_registered_it(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """An app that was given another name keeps its entries, and their past; the old one no longer retires them."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        assert (await self.register(ledger, self.entry(), app="renamed")).added == [self.key()]
        assert (await self.register(ledger, version="2")).removed == []
        (status,) = await ledger.cron_statuses()
        assert (status.app, status.retired_at, status.armed_at) == ("renamed", None, before.armed_at)
        assert await ledger.cron_statuses("app") == []
        assert (await self.bid(ledger, await broker.time() + 0.5)).outcome is WON

    async def test_what_is_known_is_told_by_queue_and_name(self, ledger: TickLedger) -> None:
        """Definitions come back as they were registered, whatever is in them."""
        crons = [
            self.entry("b", queue="p", kind="schedule", options={"misfire": "all", "jitter": "5"}),
            self.entry("a.b:c-d", expression="0 9 * * MON-FRI", tz="Europe/Berlin", fingerprint='0 9 "x" [é]'),
            self.entry("c", unique=False, enabled=False),
        ]
        await self.register(ledger, *reversed(crons))
        statuses = await ledger.cron_statuses("app")
        assert [status.definition for status in statuses] == crons
        assert {(status.last, status.last_success, status.pause, status.running) for status in statuses} == {
            (None, None, None, None)
        }
        assert statuses[2].last_tick is None

    async def test_entries_that_were_never_registered_are_not_told(self, broker: Broker, ledger: TickLedger) -> None:
        """What they did is remembered until they are."""
        now = await self.whole_now(broker)
        await self.bid(ledger, now)
        assert await ledger.cron_statuses() == []
        await self.register(ledger, self.entry())
        assert (await self.status(ledger)).counts.fired == 1

    async def test_a_version_lapses_without_attendance(self, ledger: TickLedger) -> None:
        """When no worker of it has been up for a while, the next worker is to register, whatever its version."""
        await ledger.register_crons("app", "2", [self.entry()], ttl=self.tick)
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == "2"
        await self.pass_time(self.tick * 1.5)
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == ""
        assert (await ledger.renew_registration("app", "2", ttl=60)).version == ""
        await self.register(ledger, self.entry())
        assert (await ledger.renew_registration("app", "2", ttl=60)).version == "1"

    async def test_attendance_keeps_a_version_up(self, broker: Broker, ledger: TickLedger) -> None:
        """It is the broker's clock that counts, and that is told."""
        await ledger.register_crons("app", "1", [self.entry()], ttl=self.tick)
        before = await broker.time()
        registration = await ledger.renew_registration("app", "1", ttl=60)
        assert before - 0.01 <= registration.now <= await broker.time() + 0.01
        await self.pass_time(self.tick * 1.5)
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == "1"

    async def test_an_app_that_never_registered_has_no_version(self, ledger: TickLedger) -> None:
        """It is to register."""
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == ""
        assert await ledger.cron_statuses("app") == []

    async def test_one_entry_can_be_asked_for(self, ledger: TickLedger) -> None:
        """Its status is that of the list; of what nobody registered there is none."""
        await self.register(ledger, self.entry())
        assert [await ledger.cron_status(self.key())] == await ledger.cron_statuses("app")
        assert await ledger.cron_status(self.key("other")) is None
