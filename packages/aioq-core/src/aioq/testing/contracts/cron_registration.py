"""Tests how a ledger registers the entries and versions of apps."""

from __future__ import annotations

import anyio
import pytest

from aioq.model.cron import Attendance, CronChanges, CronKey, TickOutcome
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.ledger_suite import HOURLY, LedgerSuite

__all__ = ["CronRegistrationContract"]

WON, LOST, SUPERSEDED = TickOutcome.WON, TickOutcome.LOST, TickOutcome.SUPERSEDED

NOTHING = CronChanges(added=[], changed=[], removed=[])


class CronRegistrationContract(LedgerSuite):
    """Registration of entries, and of the version of an app."""

    async def names(self, ledger: TickLedger, app: str | None = None) -> list[str]:
        """Return the names of the entries that are not retired."""
        return [status.definition.name for status in await ledger.cron_statuses(app) if status.retired_at is None]

    async def test_register_crons_returns_changes(self, ledger: TickLedger) -> None:
        """The answer lists added, changed and removed entries, sorted by queue and name."""
        first = [self.entry("b"), self.entry("a"), self.entry("z", queue="p")]
        added = [CronKey("p", "z"), self.key("a"), self.key("b")]
        assert await self.register(ledger, *first) == CronChanges(added=added, changed=[], removed=[])
        second = [self.entry("b", HOURLY), self.entry("c"), self.entry("z", queue="p")]
        assert await self.register(ledger, *second, version="2") == CronChanges(
            added=[self.key("c")], changed=[self.key("b")], removed=[self.key("a")]
        )

    async def test_register_crons_again_changes_nothing(self, broker: Broker, ledger: TickLedger) -> None:
        """A repeated registration, as every starting worker makes it, changes no entry."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        await self.pass_time(self.tick)
        assert await self.register(ledger, self.entry()) == NOTHING
        assert await self.status(ledger) == before
        assert (await self.claim_tick(ledger, await broker.time())).previous == before.last_tick

    async def test_register_crons_concurrently_is_consistent(self, broker: Broker, ledger: TickLedger) -> None:
        """Concurrent registrations end with the entries of one of them."""
        crons = [self.entry(name) for name in "abc"]
        async with anyio.create_task_group() as tg:
            for _ in range(8):
                tg.start_soon(lambda: self.register(ledger, *crons))
        assert await self.names(ledger) == ["a", "b", "c"]
        assert (await self.claim_tick(ledger, await broker.time() + 0.5, name="b")).outcome is WON
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == "1"

    async def test_register_crons_new_entry_owes_no_ticks(self, broker: Broker, ledger: TickLedger) -> None:
        """The ticks of a new entry, and `previous` of its first winner, are not before its registration."""
        before = await broker.time()
        await self.register(ledger, self.entry())
        status = await self.status(ledger)
        assert before - 0.002 <= status.armed_at <= await broker.time()
        assert status.last_tick == pytest.approx(status.armed_at, abs=0.002)
        assert (await self.claim_tick(ledger, before - 60)).outcome is LOST
        reply = await self.claim_tick(ledger, before + 0.9)
        assert (reply.outcome, reply.previous) == (WON, status.last_tick)

    async def test_register_crons_changed_entry_owes_no_ticks(self, broker: Broker, ledger: TickLedger) -> None:
        """An entry with a new fingerprint is armed again; a tick that was won stays won."""
        await self.register(ledger, self.entry())
        now = await broker.time()
        await self.claim_tick(ledger, now + 0.5)
        await self.register(ledger, self.entry(fingerprint=HOURLY), version="2")
        assert (await self.claim_tick(ledger, now, fingerprint=HOURLY)).outcome is LOST
        assert (await self.claim_tick(ledger, now + 0.5, fingerprint=HOURLY)).outcome is LOST
        assert (await self.claim_tick(ledger, now + 0.9, fingerprint=HOURLY)).previous == pytest.approx(
            now + 0.5, abs=0.002
        )

    async def test_register_crons_changed_options_arm_nothing(self, ledger: TickLedger) -> None:
        """Changed options are stored, and the entry keeps its past."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        await self.pass_time(self.tick)
        changed = self.entry(options={"grace": "120"}, enabled=False)
        assert await self.register(ledger, changed, version="2") == NOTHING
        after = await self.status(ledger)
        assert (after.definition, after.armed_at, after.last_tick) == (changed, before.armed_at, before.last_tick)

    async def test_claim_tick_disabled_entry_is_superseded(self, broker: Broker, ledger: TickLedger) -> None:
        """Workers of an older version cannot fire an entry that is disabled, until it is enabled again."""
        await self.register(ledger, self.entry())
        now = await broker.time()
        assert (await self.claim_tick(ledger, now + 0.1)).outcome is TickOutcome.WON
        await self.register(ledger, self.entry(enabled=False), version="2")
        assert (await self.claim_tick(ledger, now + 0.2)).outcome is TickOutcome.SUPERSEDED
        await self.register(ledger, self.entry())
        assert (await self.claim_tick(ledger, now + 0.9)).outcome is TickOutcome.WON

    async def test_register_crons_enabled_again_owes_no_ticks(self, ledger: TickLedger) -> None:
        """An entry that is enabled again owes no tick of the time when it was disabled."""
        await self.register(ledger, self.entry(enabled=False))
        before = await self.status(ledger)
        await self.pass_time(self.tick)
        await self.register(ledger, self.entry(), version="2")
        assert (await self.status(ledger)).armed_at >= before.armed_at + self.tick / 2

    async def test_claim_tick_older_version_is_superseded(self, broker: Broker, ledger: TickLedger) -> None:
        """Workers of an older version cannot fire entries that were changed or removed by a newer one."""
        await self.register(ledger, self.entry(), self.entry("old"))
        await self.register(ledger, self.entry(fingerprint=HOURLY), version="2")
        now = await broker.time()
        assert (await self.claim_tick(ledger, now + 0.5)).outcome is SUPERSEDED
        assert (await self.claim_tick(ledger, now + 0.5, name="old")).outcome is SUPERSEDED
        assert (await self.claim_tick(ledger, now + 0.5, fingerprint=HOURLY)).outcome is WON
        assert await self.recorded(ledger, "old") == []

    async def test_register_crons_rollback_restores_entries(self, broker: Broker, ledger: TickLedger) -> None:
        """After a rollback the old entries fire, and those of the newer version are superseded."""
        await self.register(ledger, self.entry())
        await self.register(ledger, self.entry(fingerprint=HOURLY), self.entry("new"), version="2")
        # As the workers of the older version register it when they start again.
        changes = await self.register(ledger, self.entry())
        assert changes == CronChanges(added=[], changed=[self.key()], removed=[self.key("new")])
        now = await broker.time()
        assert (await self.claim_tick(ledger, now + 0.5, fingerprint=HOURLY)).outcome is SUPERSEDED
        assert (await self.claim_tick(ledger, now + 0.5, name="new")).outcome is SUPERSEDED
        assert (await self.claim_tick(ledger, now + 0.5)).outcome is WON

    async def test_register_crons_removed_entry_is_retired(self, broker: Broker, ledger: TickLedger) -> None:
        """A removed entry keeps its history, and its status says when it was retired."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now)
        await self.register(ledger, self.entry())
        await self.register(ledger, version="2")
        (status,) = await ledger.cron_statuses("app")
        assert (status.retired_at or 0) >= now - 0.002
        assert status.counts.fired == 1
        assert await self.recorded(ledger) == [(now, "fired", "")]

    async def test_register_crons_returned_entry_is_armed(self, ledger: TickLedger) -> None:
        """An entry that returns owes no tick of the time when it was retired."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        await self.register(ledger, version="2")
        await self.pass_time(self.tick)
        assert (await self.register(ledger, self.entry(), version="3")).added == [self.key()]
        after = await self.status(ledger)
        assert (after.retired_at, after.armed_at > before.armed_at) == (None, True)

    async def test_register_crons_apps_are_independent(self, broker: Broker, ledger: TickLedger) -> None:
        """Each app has its own version and retires only its own entries."""
        await self.register(ledger, self.entry("ours"))
        await self.register(ledger, self.entry("theirs"), app="other", version="9")
        await self.register(ledger, version="2")
        assert await self.names(ledger) == ["theirs"]
        assert [status.app for status in await ledger.cron_statuses()] == ["app", "other"]
        assert [status.definition.name for status in await ledger.cron_statuses("other")] == ["theirs"]
        assert (await ledger.renew_registration("app", "2", ttl=60)).version == "2"
        assert (await ledger.renew_registration("other", "9", ttl=60)).version == "9"
        assert (await self.claim_tick(ledger, await broker.time() + 0.5, name="theirs")).outcome is WON

    async def test_register_crons_entry_belongs_to_latest_app(self, broker: Broker, ledger: TickLedger) -> None:
        """If several apps register an entry, it belongs to the latest."""
        await self.register(ledger, self.entry())
        before = await self.status(ledger)
        assert (await self.register(ledger, self.entry(), app="renamed")).added == [self.key()]
        assert (await self.register(ledger, version="2")).removed == []
        (status,) = await ledger.cron_statuses()
        assert (status.app, status.retired_at, status.armed_at) == ("renamed", None, before.armed_at)
        assert await ledger.cron_statuses("app") == []
        assert (await self.claim_tick(ledger, await broker.time() + 0.5)).outcome is WON

    async def test_register_crons_same_name_in_other_queue_is_another_entry(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """Two apps may have an entry of one name in two queues: each is changed, paused, fired and retired alone."""
        ours, theirs = self.key(), CronKey("r", "report")
        now = await self.whole_now(broker)
        assert (await self.register(ledger, self.entry())).added == [ours]
        assert (await self.register(ledger, self.entry(queue="r"), app="other")).added == [theirs]
        assert (await self.register(ledger, self.entry(fingerprint=HOURLY), version="2")).changed == [ours]
        assert (await self.claim_tick(ledger, now + 0.5)).outcome is SUPERSEDED
        await ledger.pause_cron(ours, note="", by="me")
        assert (await self.claim_tick(ledger, now + 0.5, queue="r")).outcome is WON
        await self.register(ledger, version="3")
        statuses = {status.app: status for status in await ledger.cron_statuses()}
        assert [(app, status.pause is None, status.retired_at is None) for app, status in statuses.items()] == [
            ("app", False, False),
            ("other", True, True),
        ]
        assert [len(await ledger.tick_history(key)) for key in (ours, theirs)] == [0, 1]

    async def test_cron_statuses_are_sorted(self, ledger: TickLedger) -> None:
        """Statuses are sorted by queue and name, with definitions as they were registered."""
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
        # Every worker fires it by itself, so no claim decides its ticks.
        assert statuses[2].last_tick is None

    async def test_cron_statuses_omit_unregistered_entries(self, broker: Broker, ledger: TickLedger) -> None:
        """An entry that no app registered has no status, but keeps its history until it is registered."""
        now = await self.whole_now(broker)
        await self.claim_tick(ledger, now)
        assert await ledger.cron_statuses() == []
        await self.register(ledger, self.entry())
        assert (await self.status(ledger)).counts.fired == 1

    async def test_renew_registration_expired_version_is_empty(self, ledger: TickLedger) -> None:
        """If no worker renews a version in time, the answer is empty for every version."""
        await ledger.register_crons("app", "2", [self.entry()], ttl=self.tick)
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == "2"
        await self.pass_time(self.tick * 1.5)
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == ""
        assert (await ledger.renew_registration("app", "2", ttl=60)).version == ""
        await self.register(ledger, self.entry())
        assert (await ledger.renew_registration("app", "2", ttl=60)).version == "1"

    async def test_register_crons_after_lapsed_version_restores_entries(
        self, broker: Broker, ledger: TickLedger
    ) -> None:
        """If the workers of a newer version are gone, those before it register again: their entries fire, from now on.

        Until then the entries stay as the newer version has left them.
        """
        await self.register(ledger, self.entry(), self.entry("old"))
        await ledger.register_crons("app", "2", [self.entry(fingerprint=HOURLY)], ttl=self.tick)
        await self.pass_time(self.tick * 1.5)
        assert (await ledger.renew_registration("app", "2", ttl=60)).version == ""
        before = await broker.time()
        assert (await self.claim_tick(ledger, before + 0.5)).outcome is SUPERSEDED
        assert (await self.claim_tick(ledger, before + 0.5, name="old")).outcome is SUPERSEDED
        assert await self.register(ledger, self.entry(), self.entry("old")) == CronChanges(
            added=[self.key("old")], changed=[self.key()], removed=[]
        )
        for status in await ledger.cron_statuses("app"):
            assert status.armed_at >= before - 0.002
            name, tick = status.definition.name, await broker.time() + 0.5
            assert (await self.claim_tick(ledger, before - 60, name=name)).outcome is LOST
            assert (await self.claim_tick(ledger, tick, name=name)).outcome is WON
            assert (await self.claim_tick(ledger, tick + 0.1, name=name, fingerprint=HOURLY)).outcome is SUPERSEDED

    async def test_renew_registration_extends_version(self, broker: Broker, ledger: TickLedger) -> None:
        """Renewing keeps the version registered for `ttl` seconds of the broker's clock, which the answer contains."""
        await ledger.register_crons("app", "1", [self.entry()], ttl=self.tick)
        before = await broker.time()
        registration = await ledger.renew_registration("app", "1", ttl=60)
        assert before - 0.01 <= registration.now <= await broker.time() + 0.01
        await self.pass_time(self.tick * 1.5)
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == "1"

    async def test_renew_registration_unknown_app_is_empty(self, ledger: TickLedger) -> None:
        """The answer for an app that never registered has no version."""
        assert (await ledger.renew_registration("app", "1", ttl=60)).version == ""
        assert await ledger.cron_statuses("app") == []

    async def attend(
        self,
        ledger: TickLedger,
        worker_id: str,
        *fires: str,
        seconds: float = 60.0,
        version: str = "1",
        app: str = "app",
    ) -> dict[str, tuple[str, ...]]:
        """Report that a worker is up, and return what the workers of its app fire."""
        worker = Attendance(worker_id=worker_id, fires=fires, seconds=seconds)
        return (await ledger.renew_registration(app, version, ttl=60, worker=worker)).present

    async def test_renew_registration_lists_workers_that_are_up(self, ledger: TickLedger) -> None:
        """The answer lists the workers of the app that have reported, of all its versions, and what each fires."""
        await self.register(ledger, self.entry())
        assert await self.attend(ledger, "w1", "a1", "b1") == {"w1": ("a1", "b1")}
        assert await self.attend(ledger, "w2", "a1", version="2") == {"w1": ("a1", "b1"), "w2": ("a1",)}
        assert await self.attend(ledger, "theirs", "a1", app="other") == {"theirs": ("a1",)}
        answer = await ledger.renew_registration("app", "1", ttl=60)
        assert answer.present == {"w1": ("a1", "b1"), "w2": ("a1",)}

    async def test_renew_registration_worker_is_listed_for_its_seconds(self, ledger: TickLedger) -> None:
        """A worker is listed until the seconds of its latest report are over."""
        await self.attend(ledger, "w1", "a1", seconds=self.tick)
        await self.attend(ledger, "w2", "a1", seconds=self.tick)
        await self.attend(ledger, "w2", "a1")
        await self.pass_time(self.tick * 1.5)
        assert (await ledger.renew_registration("app", "1", ttl=60)).present == {"w2": ("a1",)}

    async def test_renew_registration_latest_report_counts(self, ledger: TickLedger) -> None:
        """A worker that was started again under its id fires what its latest report says."""
        await self.attend(ledger, "w1", "a1", "b1")
        await self.pass_time(0.01)
        assert await self.attend(ledger, "w1", "a2") == {"w1": ("a2",)}

    async def test_cron_status_returns_one_entry(self, ledger: TickLedger) -> None:
        """The status of one entry equals that of the list; an unregistered entry has none."""
        await self.register(ledger, self.entry())
        assert [await ledger.cron_status(self.key())] == await ledger.cron_statuses("app")
        assert await ledger.cron_status(self.key("other")) is None
