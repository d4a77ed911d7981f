"""Damaged fields of the ledger: the entry goes on or is skipped, and the others are not concerned."""

from __future__ import annotations

from typing import Any

import pytest

from aioq.model.cron import Attendance, CronKey, TickOutcome, TickRecord, TickStatus
from aioq_redis import RedisBroker
from tests.redis.tick_helpers import bid, entry

pytestmark = pytest.mark.usefixtures("_tampered")

FORGERIES = [
    "",
    "x",
    "-1",
    "1.5",
    "inf",
    "nan",
    "9" * 400,
    "{}",
    "[[[",
    "null",
    "\xff\x00",
    "a b c d e f",
    "won  \n",
    "1 2 w",
    "9" * 15,
]
NUMBERS = ("number", "armed", "retired", "last_tick", "success", "forgotten")
COUNTS = ("fired", "ok", "failed", "skipped", "missed", "coalesced")
TEXTS = (
    "fingerprint",
    "app",
    "enabled",
    "last_tick_by",
    "claim",
    "earlier_claims",
    "run",
    "paused",
    "resumed",
    "result",
)


@pytest.fixture
def _tampered(tampered: list[bool]) -> None:
    """The tests write to keys."""
    tampered.append(True)


async def use(broker: RedisBroker, name: str) -> TickOutcome:
    """Do everything with an entry that workers and commands do, and return the outcome of its next claim."""
    key = CronKey("q", name)
    now = await broker.time()
    await broker.cron_status(key)
    await broker.tick_history(key)
    await broker.renew_registration("shop", "v1", ttl=60)
    await broker.pause_cron(key, note="note", by="me")
    await broker.cron_status(key)
    await broker.resume_cron(key)
    reply = await broker.claim_tick(bid(now - 0.5, name=name))
    record = TickRecord(
        name=name, queue="q", tick=now - 0.5, status=TickStatus.OK, worker_id="w1", fired_at=now, finished_at=now
    )
    await broker.record_ticks([record])
    await broker.extend_runs([], seconds=60)
    await broker.register_crons("shop", "v1", [entry("good"), entry("bad")], ttl=60)
    return reply.outcome


@pytest.mark.parametrize("field", [*NUMBERS, *COUNTS, *TEXTS])
async def test_damaged_field_of_an_entry_stops_nothing(
    broker: RedisBroker, raw: Any, namespace: str, field: str
) -> None:
    """Whatever a field has, each call on the entry succeeds, and the other entry is listed and fires."""
    for forgery in FORGERIES:
        await broker.register_crons("shop", "v1", [entry("good"), entry("bad")], ttl=60)
        await use(broker, "bad")
        raw.hset(f"{{{namespace}:q}}:cron:bad", field, forgery.encode("latin-1"))
        statuses = {status.definition.name for status in await broker.cron_statuses("shop")}
        assert "good" in statuses, forgery
        await broker.cron_statuses()
        await use(broker, "bad")
        assert await use(broker, "good") in (TickOutcome.WON, TickOutcome.LOST), forgery
        raw.delete(*raw.keys(f"{{{namespace}*"))


@pytest.mark.parametrize("key", ["crons:shop", "pauses"])
async def test_damaged_field_of_the_fleet_stops_nothing(
    broker: RedisBroker, raw: Any, namespace: str, key: str
) -> None:
    """A damaged definition is skipped, and the next registration puts it right."""
    for forgery in FORGERIES:
        for field in (b"q bad", b"\xff", b"no-blank", b"a/b c", b" "):
            await broker.register_crons("shop", "v1", [entry("good"), entry("bad")], ttl=60)
            raw.hset(f"{{{namespace}}}:{key}", field, forgery.encode("latin-1"))
            assert "good" in {status.definition.name for status in await broker.cron_statuses("shop")}
            await use(broker, "good")
            await broker.register_crons("shop", "v1", [entry("good"), entry("bad")], ttl=60)
            assert {status.definition.name for status in await broker.cron_statuses("shop")} == {"good", "bad"}


@pytest.mark.parametrize("key", ["registrations", "version:shop"])
async def test_damaged_text_of_the_fleet_stops_nothing(broker: RedisBroker, raw: Any, namespace: str, key: str) -> None:
    """An app registers and renews its registration whatever the number and the version were."""
    for forgery in FORGERIES:
        raw.set(f"{{{namespace}}}:{key}", forgery.encode("latin-1"), ex=60)
        await broker.renew_registration("shop", "v1", ttl=60)
        await broker.register_crons("shop", "v1", [entry("good"), entry("bad")], ttl=60)
        assert (await broker.renew_registration("shop", "v1", ttl=60)).version == "v1"


async def test_damaged_attendance_stops_nothing(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A worker renews its registration and is listed, whatever is stored of other workers."""
    worker = Attendance(worker_id="w1", fires=("a",), seconds=60.0)
    for forgery in FORGERIES:
        raw.zadd(f"{{{namespace}}}:attendance:shop", {forgery.encode("latin-1"): 9e15})
        assert (await broker.renew_registration("shop", "v1", ttl=60, worker=worker)).present["w1"] == ("a",)


async def test_damaged_records_are_left_out(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """The history of an entry shows what can be read, and new records are stored."""
    await use(broker, "good")
    for n, forgery in enumerate(FORGERIES):
        raw.zadd(f"{{{namespace}:q}}:ticks:good", {forgery.encode("latin-1"): n})
        raw.zadd(f"{{{namespace}:q}}:ticks:good", {f"{n} \n{forgery}\n\n\n\n".encode("latin-1"): n})
    await use(broker, "good")
    assert {record.status for record in await broker.tick_history(CronKey("q", "good"))} == {TickStatus.OK}


async def test_damaged_entries_are_reported(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """The doctor names the damaged fields."""
    await broker.register_crons("shop", "v1", [entry("good"), entry("bad")], ttl=60)
    assert [one.text for one in await broker.diagnose() if one.subject == "entries"] == []
    raw.hset(f"{{{namespace}:q}}:cron:bad", "last_tick", "soon")
    raw.hset(f"{{{namespace}}}:crons:shop", "q bad", "0 {")
    assert [one.text for one in await broker.diagnose() if one.subject == "entries"] == [
        f"fields of entries are damaged: {{{namespace}:q}}:cron:bad last_tick",
        f"definitions of entries are damaged: {{{namespace}}}:crons:shop q bad",
    ]
