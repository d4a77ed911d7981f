"""One worker of a fleet, the favourite, claims the ticks of a moment at once; the others claim them if it does not."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import ClassVar

import pytest
from msgspec.structs import replace

from aioq import Aarq
from aioq.model.claim_order import FOLLOW, SPREAD, favourite_of
from aioq.model.cron import Attendance, Registration, TickClaim, TickReply
from aioq.testing import VirtualClock
from aioq.worker.cron.claim_turns import PRESENCE, ClaimTurns
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import PlainScheduler
from tests.core.rig import working
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import START, Notes

KNOWN = 10.5
"""Seconds after which the workers of a new fleet know one another, by two renewals."""


def lateness(notes: Notes, since: float = 0.0) -> list[float]:
    """Return how late the runs of ticks from a moment on began."""
    return [round(began - tick, 3) for began, tick in zip(notes.began, notes.ticks, strict=True) if tick >= since]


async def fleet(stack: AsyncExitStack, app: Aarq, clock: VirtualClock, names: Iterable[str]) -> None:
    """Run workers until the block ends."""
    for name in names:
        await stack.enter_async_context(working(app, clock=clock, abort=True, id=name))


@pytest.mark.parametrize("count", [1, 5, 20])
async def test_fleet_fires_every_tick_at_once(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker, count: int
) -> None:
    """Some worker claims without a delay, each worker makes one call for a tick, and most workers fire some."""
    app.cron("every 1", name="entry", unique=True)(notes)
    async with AsyncExitStack() as stack:
        await fleet(stack, app, clock, (f"w{number:02}" for number in range(count)))
        await clock.advance(KNOWN)
        broker.calls.clear()
        await clock.advance(20)
    assert lateness(notes, KNOWN) == [0.0] * 20
    assert (broker.calls["claim_tick"], broker.calls["claim_ticks"]) == (20 * count, 0)
    assert len({context["worker_id"] for context in notes.contexts}) > count / 2


async def test_fleet_claims_entries_of_several_queues_in_one_call(
    app: Aarq, clock: VirtualClock, notes: Notes, broker: FlakyBroker
) -> None:
    """Workers that consume the same queues have one favourite for all of them."""
    for queue in ("default", "reports", "mails"):
        app.cron("every 10", name=queue, queue=queue, unique=True)(notes)
    async with AsyncExitStack() as stack:
        await fleet(stack, app, clock, ("w1", "w2", "w3"))
        await clock.advance(KNOWN)
        broker.calls.clear()
        await clock.advance(30)
    assert lateness(notes, KNOWN) == [0.0] * 9
    assert broker.calls["claim_ticks"] == 3 * 3


async def test_dead_favourite_delays_ticks_until_it_is_forgotten(
    app: Aarq, clock: VirtualClock, notes: Notes, ledger: Ledger
) -> None:
    """Its ticks fire within 60 ms on the others. When the ledger lists it no more, others are the favourites."""
    app.cron("every 1", name="entry", unique=True)(notes)
    async with AsyncExitStack() as stack:
        await fleet(stack, app, clock, ("w1", "w2"))
        async with working(app, clock=clock, abort=True, id="dead"):
            await clock.advance(KNOWN)
        died = clock.monotonic()
        await clock.advance(40)
    late = lateness(notes, died)
    assert len(late) == 40
    assert FOLLOW <= max(late) < 0.06
    assert 0 < sum(seconds > 0 for seconds in late) < 12
    assert set(lateness(notes, died + PRESENCE + 5)) == {0.0}
    assert (await ledger.status()).counts.missed == 0


class Slow(FlakyBroker):
    """A broker that one worker reaches later than the others."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self._slow = clock

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide on a tick."""
        if claim.worker_id == "slow":
            await self._slow.sleep(0.06)
        return await super().claim_tick(claim)


async def test_hanging_favourite_loses_its_ticks(clock: VirtualClock, notes: Notes) -> None:
    """A favourite that hangs for 60 ms loses to the next worker, which claims 10 ms after the tick."""
    app = Aarq(Slow(clock), name="app", scheduler=PlainScheduler())
    app.cron("every 1", name="entry", unique=True)(notes)
    async with AsyncExitStack() as stack:
        await fleet(stack, app, clock, ("slow", "w1", "w2"))
        await clock.advance(KNOWN + 20)
    assert notes.ticks == list(range(1, 31))
    assert set(lateness(notes, KNOWN)) == {0.0, FOLLOW}
    assert "slow" not in {
        context["worker_id"] for context in notes.contexts if context["scheduled_at"].timestamp() > START + KNOWN
    }


class Foreign(FlakyBroker):
    """A broker that lists no workers."""

    async def renew_registration(
        self, app: str, version: str, *, ttl: float, worker: Attendance | None = None
    ) -> Registration:
        """Renew a registration."""
        return replace(await super().renew_registration(app, version, ttl=ttl, worker=worker), present={})


async def test_fleet_without_list_spreads_its_claims(clock: VirtualClock, notes: Notes) -> None:
    """Each worker claims after a delay of its own, and each tick fires once, within 50 ms."""
    app = Aarq(Foreign(clock=clock), name="app", scheduler=PlainScheduler())
    app.cron("every 1", name="entry", unique=True)(notes)
    async with AsyncExitStack() as stack:
        await fleet(stack, app, clock, ("w1", "w2"))
        await clock.advance(KNOWN + 20)
    assert notes.ticks == list(range(1, 31))
    late = lateness(notes, KNOWN)
    assert 0 <= min(late) < FOLLOW < max(late) < SPREAD
    assert {context["worker_id"] for context in notes.contexts} == {"w1", "w2"}


class Skewed(FlakyBroker):
    """A broker that tells its time to one worker too late and to another one too early."""

    ahead: ClassVar = {"behind": -0.004, "ahead": 0.004}

    async def renew_registration(
        self, app: str, version: str, *, ttl: float, worker: Attendance | None = None
    ) -> Registration:
        """Renew a registration."""
        answer = await super().renew_registration(app, version, ttl=ttl, worker=worker)
        return replace(answer, now=answer.now + self.ahead.get(worker.worker_id if worker else "", 0.0))

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide on a tick."""
        reply = await super().claim_tick(claim)
        return replace(reply, now=reply.now + self.ahead.get(claim.worker_id, 0.0))


async def test_fleet_with_clocks_off_by_milliseconds_keeps_its_favourites(clock: VirtualClock, notes: Notes) -> None:
    """A tick is as wrong as the clock of its favourite. No other worker takes it: the clocks differ by less than 10 ms."""
    app = Aarq(Skewed(clock=clock), name="app", scheduler=PlainScheduler())
    app.cron("every 1", name="entry", unique=True)(notes)
    async with AsyncExitStack() as stack:
        await fleet(stack, app, clock, ("ahead", "behind", "right"))
        await clock.advance(KNOWN + 30)
    assert sorted(notes.ticks) == list(range(1, 41))
    expected = {"ahead": -0.004, "behind": 0.004, "right": 0.0}
    for context, late in zip(notes.contexts, lateness(notes), strict=True):
        if context["scheduled_at"].timestamp() > START + KNOWN:
            assert late == expected[context["worker_id"]]


async def test_favourite_consumes_the_queue(app: Aarq, clock: VirtualClock, notes: Notes) -> None:
    """A worker that does not fire an entry is never its favourite, so no tick waits for it."""
    app.cron("every 1", name="entry", queue="reports", unique=True)(notes)
    app.cron("every 3600", name="other", unique=True)(notes)
    async with (
        working(app, clock=clock, abort=True, id="w1", queues=["default"]),
        working(app, clock=clock, abort=True, id="w2", queues=["default", "reports"]),
        working(app, clock=clock, abort=True, id="w3", queues=["reports"]),
    ):
        await clock.advance(KNOWN + 20)
    assert set(lateness(notes, KNOWN)) == {0.0}
    assert {context["worker_id"] for context in notes.contexts} == {"w2", "w3"}


async def test_rolling_deploy_has_favourites_of_both_versions(
    clock: VirtualClock, broker: FlakyBroker, notes: Notes
) -> None:
    """An entry that only the new version has, and one that both have, fire at once while both are up."""
    old, new = (Aarq(broker, name="app", scheduler=PlainScheduler()) for _ in range(2))
    fresh = Notes(clock)
    for app in (old, new):
        app.cron("every 1", name="kept", unique=True)(notes)
    new.cron("every 1", name="added", unique=True)(fresh)
    async with AsyncExitStack() as stack:
        await fleet(stack, old, clock, ("old1", "old2"))
        await clock.advance(1)
        await fleet(stack, new, clock, ("new1", "new2"))
        await clock.advance(KNOWN + 20)
    for told in (notes, fresh):
        assert lateness(told, KNOWN + 1) == [0.0] * 20


@pytest.mark.parametrize("joins", [True, False], ids=["joins", "leaves"])
def test_change_of_fleet_leaves_a_favourite(joins: bool) -> None:
    """While some workers have heard that one joined or left, and others have not, one that is up claims at once.

    Only the ticks of the worker that left wait for the next one.
    """
    stay = [f"w{number}" for number in range(6)]
    everyone = sorted([*stay, "w3a"])
    before, after = (stay, everyone) if joins else (everyone, stay)
    app = Aarq(name="app", scheduler=PlainScheduler())
    app.cron("every 1", name="entry", unique=True)(Notes(VirtualClock()))
    turns = {worker: ClaimTurns(worker, app.crons) for worker in stay}
    report = turns["w0"].attendance
    assert report is not None
    for heard in range(len(stay) + 1):
        for number, worker in enumerate(stay):
            turns[worker].heard(dict.fromkeys(before, report.fires))
            turns[worker].heard(dict.fromkeys(after if number < heard else before, report.fires))
        for moment in range(60):
            wait = min(turns[worker].wait(moment, "default", moment) for worker in stay)
            assert wait <= (FOLLOW if favourite_of(moment, before) not in stay else 0)
