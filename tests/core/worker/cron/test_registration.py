"""Workers register the entries of their app, and renew the registration."""

from __future__ import annotations

import logging

import pytest
from msgspec.structs import replace

from aioq import Aarq
from aioq.cron.definition import define
from aioq.model.cron import CronStatus
from aioq.testing import VirtualClock
from tests.core.brokers import BareBroker, FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import drain, working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import Notes


async def nothing(_: object) -> None:
    """Do nothing."""


def version(broker: FlakyBroker, **entries: str) -> Aarq:
    """Return an app with entries of these schedules, as one of its versions has them."""
    app = Aarq(broker, name="app", scheduler=PlainScheduler())
    for name, schedule in entries.items():
        app.cron(schedule, name=name, unique=True)(nothing)
    return app


async def live(broker: FlakyBroker, app: str = "app") -> list[str]:
    """Return name and schedule of the entries that are not retired."""
    statuses: list[CronStatus] = await broker.cron_statuses(app)
    return [f"{it.definition.name} {it.definition.expression}" for it in statuses if it.retired_at is None]


async def test_registration_has_all_entries_of_app(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """Also those of queues that it does not consume: it speaks for the app."""
    app.cron("every 10", name="mine")(nothing)
    app.cron("every 10", name="theirs", queue="reports", unique=True)(nothing)
    app.cron("every 10", name="off", enabled=False)(nothing)
    async with working(app, clock=clock, abort=True, queues=["default"]):
        await clock.advance(1)
    assert await live(broker) == ["mine every 10", "off every 10", "theirs every 10"]


async def test_registration_is_renewed_every_five_seconds(app: Aarq, clock: VirtualClock, broker: FlakyBroker) -> None:
    """One command, whatever the number of entries, and one registration."""
    for number in range(50):
        app.cron("every 3600", name=f"n{number}")(nothing)
    async with working(app, clock=clock, abort=True):
        await clock.advance(59)
    assert (broker.calls["renew_registration"], broker.calls["register_crons"], broker.calls["cron_statuses"]) == (
        12,
        1,
        0,
    )


async def test_registration_is_not_done_in_burst(app: Aarq, broker: FlakyBroker) -> None:
    """It fires no crons, and is gone soon."""
    app.cron("every 10", name="entry")(nothing)
    await drain(app)
    assert await broker.cron_statuses() == []


async def test_registration_without_entries_retires_the_last(clock: VirtualClock, broker: FlakyBroker) -> None:
    """A worker without any entry registers just that."""
    async with working(version(broker, a="every 10"), clock=clock, abort=True):
        await clock.advance(1)
    async with working(version(broker), clock=clock, abort=True):
        await clock.advance(1)
    assert await live(broker) == []


async def test_registration_without_ledger_does_nothing(clock: VirtualClock, notes: Notes) -> None:
    """The worker runs without errors."""
    app = Aarq(BareBroker(), scheduler=PlainScheduler())
    app.cron("every 10")(notes)
    async with working(app, clock=clock, abort=True):
        await clock.advance(11)
    assert notes.ticks == [10]


async def test_registration_is_repeated_if_broker_forgot(
    app: Aarq, clock: VirtualClock, broker: FlakyBroker, ledger: Ledger
) -> None:
    """The broker has lost its data, or no worker has renewed the version for half a minute."""
    app.cron("every 3600", name="entry", unique=True)(nothing)
    async with working(app, clock=clock, abort=True):
        await clock.advance(1)
        broker._versions.clear()
        broker._entries.clear()
        await clock.advance(5)
        assert (await ledger.status()).definition.name == "entry"
        broker.go_down("renew_registration")
        await clock.advance(40)
        broker.come_up()
        await clock.advance(10)
    assert broker.calls["register_crons"] == 3


async def test_registration_logs_changes(
    clock: VirtualClock, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """By name: what is new, what fires at other moments, what is gone."""
    caplog.set_level(logging.INFO)
    async with working(version(broker, a="every 10", b="every 10"), clock=clock, abort=True):
        await clock.advance(1)
    async with working(version(broker, b="every 20", c="every 10"), clock=clock, abort=True):
        await clock.advance(1)
    assert [line for line in caplog.messages if "entries of app" in line] == [
        "cron entries of app app that are new: a, b",
        "cron entries of app app that are new: c",
        "cron entries of app app that are changed: b",
        "cron entries of app app that are retired: a",
    ]


async def test_older_version_warns_once(
    clock: VirtualClock, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Naming the entries that differ. It does not register again, or the two would go on for ever."""
    old = version(broker, same="every 3600", edited="every 3600", gone="every 3600")
    new = version(broker, same="every 3600", edited="every 7200", added="every 3600")
    async with working(old, clock=clock, abort=True, id="old"):
        await clock.advance(1)
        async with working(new, clock=clock, abort=True, id="new"):
            await clock.advance(100)
    line = (
        "a newer version of app app is registered and replaces the entries of this worker: "
        "it has another schedule or other policies for edited; it adds added; it lacks gone"
    )
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [line]
    assert broker.calls["register_crons"] == 2
    assert await live(broker) == ["added every 3600", "edited every 7200", "same every 3600"]


async def test_older_version_warning_names_ten_entries(
    clock: VirtualClock, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten names, and how many more."""
    old = version(broker)
    new = version(broker, **{f"e{number:02}": "every 3600" for number in range(12)})
    async with working(old, clock=clock, abort=True):
        await clock.advance(1)
        async with working(new, clock=clock, abort=True):
            await clock.advance(6)
    named = ", ".join(f"e{number:02}" for number in range(10))
    assert caplog.messages[-1].endswith(f"it adds {named} and 2 more")


async def test_older_version_registers_when_newer_lapses(clock: VirtualClock, broker: FlakyBroker) -> None:
    """A deploy that was called off: half a minute after its last worker its version has lapsed."""
    async with working(version(broker, a="every 10"), clock=clock, abort=True):
        await clock.advance(1)
        async with working(version(broker, b="every 10"), clock=clock, abort=True):
            await clock.advance(20)
            assert await live(broker) == ["b every 10"]
        await clock.advance(40)
    assert await live(broker) == ["a every 10"]


async def test_registration_waits_for_broker(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker, ledger: Ledger
) -> None:
    """What every worker fires fires meanwhile; the fleet's entries begin when the worker is registered."""
    fleet = Notes(clock)
    app.cron("every 10", name="alone")(notes)
    app.cron("every 10", name="entry", unique=True)(fleet)
    async with working(app, clock=clock, abort=True):
        broker.go_down("register_crons")
        await clock.advance(25)
        assert (notes.ticks, fleet.ticks) == ([10, 20], [])
        broker.come_up()
        await clock.advance(16)
    assert notes.ticks == [10, 20, 30, 40]
    assert fleet.ticks[-1] == 40


async def test_registered_names_stay_on_one_log_line(
    clock: VirtualClock, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """A registered name cannot forge a line of the log."""
    ours = version(broker, entry="every 10")
    (definition,) = [define(entry) for entry in ours.crons]
    async with working(ours, clock=clock, abort=True):
        await clock.advance(1)
        odd = replace(definition, name="a\r\nERROR forged\x1b[2J" + "x" * 500)
        await broker.register_crons("app", "theirs", [odd], ttl=60)
        await clock.advance(6)
    (said,) = [record.getMessage() for record in caplog.records if "a newer version" in record.getMessage()]
    assert said.isprintable()
    assert r"it adds a\r\nERROR forged\x1b[2Jxxx" in said
    assert len(said) < 400
