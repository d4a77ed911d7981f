"""The ledger of ticks beyond the shipped suite: lost replies, a full server, steps that are cut short, and costs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioq.errors import BrokerConfigError, BrokerFull
from aioq.model.cron import CronChanges, CronCounts, CronStatus, TickOutcome, TickStatus
from aioq.model.job import Completed, Lease, NewJob
from aioq_redis import RedisBroker
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.scripts import load
from tests.redis.job_helpers import claim, job
from tests.redis.layout import keys_of
from tests.redis.proxy import Proxy
from tests.redis.tick_helpers import KEY, bid, entry, record, run_of
from tests.servers import RedisServer

WON, LOST, PAUSED = TickOutcome.WON, TickOutcome.LOST, TickOutcome.PAUSED


async def told(broker: RedisBroker) -> list[tuple[float, str]]:
    """Return tick and status of the records of `report`."""
    return [(told.tick, told.status.value) for told in await broker.tick_history(KEY)]


async def moment(broker: RedisBroker) -> float:
    """Return the server's clock, in whole milliseconds."""
    return round(await broker.time(), 3)


class TestLostReply:
    """The server has done it, and the connection breaks before it says so: done again, it is done once."""

    @pytest.fixture
    def lose(self, proxy: Proxy, raw: Any) -> Callable[[str], None]:
        """Lose the reply to the next run of a script."""

        def lose(name: str) -> None:
            raw.script_load(load(name).text)
            proxy.drop_reply_to(load(name).sha.encode())

        return lose

    @pytest.fixture
    def shaky(self, proxy: Proxy, make_broker: Callable[..., RedisBroker]) -> RedisBroker:
        """A broker on a connection that breaks."""
        return make_broker(proxy.url)

    @pytest.mark.parametrize("template", [None, job("template")], ids=["run", "job"])
    async def test_of_a_claim(
        self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None], template: NewJob | None
    ) -> None:
        """The winner hears that it won, the job is enqueued once, and the tick recorded once."""
        now = await moment(shaky)
        await shaky.claim_tick(bid(now - 60))
        lose("claim_ticks")
        reply = await shaky.claim_tick(bid(now - 20, now, job=template))
        assert proxy.connections == 2
        assert (reply.outcome, reply.won, reply.previous) == (WON, (now - 20, now), now - 60)
        assert len(await claim(shaky)) == (2 if template else 0)
        assert await told(shaky) == [(now, "fired"), (now - 20, "fired"), (now - 60, "fired")]

    async def test_of_a_claim_whose_job_ended_meanwhile(
        self, shaky: RedisBroker, broker: RedisBroker, proxy: Proxy, lose: Callable[[str], None]
    ) -> None:
        """A job that was run before the winner asks again is not enqueued again."""
        await shaky.time()
        lose("claim_ticks")
        proxy.delay = 0.2
        asked = asyncio.ensure_future(shaky.claim_tick(bid(await broker.time(), job=job("t"))))
        leases: list[Lease] = []
        while not leases:
            leases = await claim(broker)
        await broker.settle([Completed(lease=leases[0])])
        assert (await asked).outcome is WON
        assert await claim(broker) == []

    async def test_of_a_claim_that_others_passed_by_meanwhile(
        self, shaky: RedisBroker, broker: RedisBroker, proxy: Proxy, lose: Callable[[str], None]
    ) -> None:
        """Later ticks are won before the winner asks again: it hears of its own all the same, and can run it."""
        now = await moment(shaky)
        lose("claim_ticks")
        proxy.delay = 0.2
        asked = asyncio.ensure_future(shaky.claim_tick(bid(now - 60)))
        while not await told(broker):
            await asyncio.sleep(0)
        for ago in (40, 20):
            assert (await broker.claim_tick(bid(now - ago, worker="w2"))).outcome is WON
        reply = await asked
        assert (reply.outcome, reply.won) == (WON, (now - 60,))
        assert proxy.connections == 2

    async def test_of_a_registration(self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None]) -> None:
        """Whichever of its steps it is, the changes are told as they were, and entries are armed once."""
        await shaky.register_crons("app", "1", [entry("old"), entry("edited")], ttl=60)
        expected = CronChanges(added=[KEY], changed=[entry("edited").key], removed=[entry("old").key])
        for name in ("register_app", "register_crons", "open_version"):
            lose(name)
        crons = [entry(), entry("edited", fingerprint="g")]
        assert await shaky.register_crons("app", "2", crons, ttl=60) == expected
        assert proxy.connections == 4
        assert (await shaky.renew_registration("app", "2", ttl=60)).version == "2"
        assert await shaky.register_crons("app", "2", crons, ttl=60) == CronChanges(added=[], changed=[], removed=[])

    async def test_of_records(self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None]) -> None:
        """They are counted once."""
        lose("record_ticks")
        await shaky.record_ticks([record(60.0), record(120.0, TickStatus.MISSED, count=3)])
        await shaky.register_crons("app", "1", [entry()], ttl=60)
        (status,) = await shaky.cron_statuses()
        assert status.counts == CronCounts(fired=1, ok=1, missed=3)
        assert proxy.connections == 2

    async def test_of_signs_of_life(self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None]) -> None:
        """The runs that were replaced are told."""
        now = await moment(shaky)
        await shaky.claim_tick(bid(now - 60))
        await shaky.claim_tick(bid(now, worker="w2"))
        lose("extend_runs")
        assert await shaky.extend_runs([run_of(now - 60), run_of(now, "w2")], seconds=60) == [run_of(now - 60)]
        assert proxy.connections == 2

    async def test_of_a_pause(self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None]) -> None:
        """Who paused or resumed is told that it was done, and not that it had been done."""
        lose("pause_cron")
        assert await shaky.pause_cron(KEY, note="", by="me") is True
        assert await shaky.pause_cron(KEY, note="", by="me") is False
        lose("resume_cron")
        assert await shaky.resume_cron(KEY) is True
        assert await shaky.resume_cron(KEY) is False
        assert proxy.connections == 3


class TestFullServer:
    """A server at its maxmemory, told to evict nothing."""

    @pytest.fixture
    async def full(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
    ) -> RedisBroker:
        """A broker with one entry that has fired, on a server that has just become full."""
        server = start_server()
        broker = make_broker(server.url)
        await broker.register_crons("app", "1", [entry()], ttl=60)
        await broker.claim_tick(bid(await broker.time() + 0.1))
        with server.client() as connection:
            client: Any = connection
            client.config_set("maxmemory", "1")
        return broker

    async def test_the_ledger_goes_on(self, full: RedisBroker) -> None:
        """Claims, signs of life, records, pauses and registrations are small, and are let through."""
        tick = round(await full.time() + 0.5, 3)
        assert (await full.claim_tick(bid(tick))).outcome is WON
        assert await full.extend_runs([run_of(tick)], seconds=60) == []
        await full.record_ticks([record(tick, finished_at=tick)])
        assert await full.pause_cron(KEY, note="", by="me") is True
        assert await full.resume_cron(KEY) is True
        changes = await full.register_crons("app", "2", [entry("new")], ttl=60)
        assert (changes.added, changes.removed) == ([entry("new").key], [KEY])
        assert (await full.renew_registration("app", "2", ttl=60)).version == "2"
        assert (await told(full))[0] == (tick, "ok")

    async def test_a_tick_whose_job_has_no_room_is_not_spent(self, full: RedisBroker) -> None:
        """The worker hears of it, and may claim the tick again when there is room; also one that is delayed."""
        before = await told(full)
        tick = await full.time() + 0.5
        for template in (job("t"), job("t", delay=5.0)):
            with pytest.raises(BrokerFull, match="has no room"):
                await full.claim_tick(bid(tick, job=template))
        assert await told(full) == before
        assert (await full.claim_tick(bid(tick))).outcome is WON

    async def test_a_tick_that_is_skipped_needs_no_room(self, full: RedisBroker) -> None:
        """Nothing is enqueued when the entry is paused, or its job goes on."""
        await full.pause_cron(KEY, note="", by="me")
        assert (await full.claim_tick(bid(await full.time() + 0.5, job=job("t")))).outcome is PAUSED


class TestCutShort:
    """A process that dies between the steps of a registration or a pause."""

    async def test_a_version_whose_entries_are_not_in_place_is_not_in_force(
        self, broker: RedisBroker, raw: Any, namespace: str
    ) -> None:
        """The next worker that asks registers it anew, which puts everything in place."""
        await broker.register_crons("app", "1", [entry(), entry("old")], ttl=60)
        fleet = Layout(namespace).fleet
        _run(raw, "register_app", fleet.pick(load("register_app").keys, "app"), "app", "2", 10**9, 10**9)
        assert (await broker.renew_registration("app", "2", ttl=60)).version == ""
        tick = await broker.time() + 0.5
        assert (await broker.claim_tick(bid(tick, name="old"))).outcome is WON
        await broker.register_crons("app", "2", [entry(fingerprint="g")], ttl=60)
        assert (await broker.renew_registration("app", "2", ttl=60)).version == "2"
        assert (await broker.claim_tick(bid(tick + 0.1, name="old"))).outcome is TickOutcome.SUPERSEDED
        assert (await broker.claim_tick(bid(tick))).outcome is TickOutcome.SUPERSEDED

    async def test_the_replaced_version_is_not_told_that_it_has_lapsed(
        self, broker: RedisBroker, raw: Any, namespace: str
    ) -> None:
        """Its workers would register it again, and so undo a deploy that is under way."""
        await broker.register_crons("app", "1", [entry()], ttl=60)
        fleet = Layout(namespace).fleet
        _run(raw, "register_app", fleet.pick(load("register_app").keys, "app"), "app", "2", 10**9, 10**9)
        assert (await broker.renew_registration("app", "1", ttl=60)).version == "2"

    async def test_a_version_that_never_came_lapses(self, broker: RedisBroker, raw: Any, namespace: str) -> None:
        """The version before it takes over again, as from one whose workers are gone."""
        await broker.register_crons("app", "1", [entry()], ttl=60)
        fleet = Layout(namespace).fleet
        keys = fleet.pick(load("register_app").keys, "app")
        _run(raw, "register_app", keys, "app", "2", 10**9, 10**9)
        assert 0 < raw.pttl(fleet.key("version:app")) <= 10**9

    async def test_an_older_registration_that_comes_late_changes_nothing(
        self, broker: RedisBroker, raw: Any, namespace: str
    ) -> None:
        """Of two that overlap the newer wins in every entry, and its version is in force."""
        await broker.register_crons("app", "2", [entry(fingerprint="new")], ttl=60)
        layout = Layout(namespace)
        keys = layout.queue("q").pick(load("register_crons").keys, each=["report"])
        assert _run(raw, "register_crons", keys, 1, "app", 10**9, "+old") == [1]
        assert _run(raw, "register_crons", keys, 1, "app", 10**9, "") == [1]
        fleet = layout.fleet.pick(load("open_version").keys, "app")
        assert _run(raw, "open_version", fleet, 1, "1", 10**9) == 0
        assert (await broker.renew_registration("app", "2", ttl=60)).version == "2"
        assert (await broker.claim_tick(bid(await broker.time() + 0.5, fingerprint="new"))).outcome is WON

    async def test_a_pause_that_is_half_done_can_be_seen_and_done_again(
        self, broker: RedisBroker, raw: Any, namespace: str
    ) -> None:
        """The entry's own keys come first when it is paused, and last when it is resumed."""
        await broker.register_crons("app", "1", [entry()], ttl=60)
        await broker.pause_cron(KEY, note="flood", by="me")
        raw.delete(Layout(namespace).fleet.key("pauses"))
        (status,) = await broker.cron_statuses()
        assert status.pause is not None
        await broker.pause_cron(KEY, note="flood", by="me")
        assert (await broker.renew_registration("app", "1", ttl=60)).paused == [KEY]


async def test_namespaces_have_ledgers_of_their_own(make_broker: Callable[..., RedisBroker], namespace: str) -> None:
    """An entry of the same name in another namespace is another entry."""
    ours, theirs = make_broker(), make_broker(namespace=f"{namespace}-2")
    now = await moment(ours)
    await ours.register_crons("app", "1", [entry()], ttl=60)
    assert (await ours.claim_tick(bid(now + 0.5))).outcome is WON
    assert await theirs.cron_statuses() == []
    assert (await theirs.claim_tick(bid(now))).outcome is WON
    assert await told(ours) == [(now + 0.5, "fired")]


async def test_a_queue_that_gets_jobs_of_ticks_is_known(broker: RedisBroker) -> None:
    """It has counts, and its jobs are found without its name."""
    tick = await moment(broker)
    await broker.claim_tick(bid(tick, queue="reports", job=job("t")))
    assert [(stats.queue, stats.pending) for stats in await broker.queue_stats()] == [("reports", 1)]
    assert await broker.get_job(f"cron:report:{round(tick * 1000)}") is not None


@pytest.mark.parametrize("name", ["", "a b", "a\n", "x" * 201, "{}"])
async def test_a_name_that_no_key_could_bear_is_refused(broker: RedisBroker, name: str) -> None:
    """Before anything is sent, in every call that takes one."""
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: broker.claim_tick(bid(1.0, name=name)),
        lambda: broker.register_crons("app", "1", [entry(name)], ttl=60),
        lambda: broker.register_crons(name, "1", [], ttl=60),
        lambda: broker.renew_registration(name, "1", ttl=60),
        lambda: broker.record_ticks([record(1.0, name=name)]),
        lambda: broker.pause_cron(entry(name).key, note="", by=""),
        lambda: broker.resume_cron(entry(name).key),
        lambda: broker.cron_status(entry(name).key),
        lambda: broker.tick_history(entry(name).key),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="is not of the form"):
            await call()


async def test_record_ticks_escapes_control_characters(broker: RedisBroker) -> None:
    """Line ends and control characters in a reason, an error or an id do not damage the record."""
    written = record(60.0, TickStatus.FAILED, error="a\nb\x00c", reason="\r\n", job_id="other\n", fired_at=60.5)
    await broker.record_ticks([written])
    (read,) = await broker.tick_history(KEY)
    texts = (read.error, read.reason, read.job_id or "")
    assert all(text.isprintable() for text in texts)
    assert read.error.startswith("a")
    assert (read.job_id or "").startswith("other")
    await broker.record_ticks([record(120.0, error="x" * 100_000)])
    assert len((await broker.tick_history(KEY))[0].error) <= 1000


@pytest.mark.parametrize("key", ["cron:report", "ticks:report", "jobs", "runs", "ready:5"])
async def test_a_key_of_the_wrong_type_is_named_and_no_tick_is_spent(
    broker: RedisBroker, raw: Any, namespace: str, tampered: list[bool], key: str
) -> None:
    """The error says what is in the way; when it is gone, the tick is won."""
    tampered.append(True)
    full = Layout(namespace).queue("q").key(key)
    raw.set(full, "foreign")
    claimed = bid(await broker.time(), job=job("t"), overlap="queue_one")
    if key != "runs":
        with pytest.raises(BrokerConfigError, match=re.escape(f"key {full} is a string")):
            await broker.claim_tick(claimed)
    raw.delete(full)
    assert (await broker.claim_tick(claimed)).outcome is WON
    assert len(await claim(broker)) == 1


async def test_every_key_of_the_ledger_is_bounded(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """Each has a time to live of 400 days, and a thousand ticks leave a hundred records."""
    await broker.register_crons("app", "1", [entry()], ttl=60)
    await broker.pause_cron(KEY, note="", by="me")
    await broker.pause_cron(entry("unknown").key, note="", by="me")
    await broker.record_ticks([record(60.0 * n, error="e" * 50) for n in range(1000)])
    ttls = {key.partition("}:")[2]: raw.ttl(key) for key in keys_of(raw, namespace)}
    assert 0 < ttls.pop("version:app") <= 60
    assert set(ttls) == {
        *("apps", "registrations", "pauses", "crons:app"),
        *("cron:report", "cron:unknown", "ticks:report"),
    }
    assert {round(ttl / 86_400) for ttl in ttls.values()} == {400}
    assert raw.zcard(Layout(namespace).queue("q").key("ticks:report")) == 100


async def test_a_ring_is_compact(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A hundred usual records are as few and as short as the servers pack into one block: 128 of 64 bytes at most."""
    for n in range(100):
        tick = 1_800_000_000.0 + 60 * n
        await broker.record_ticks(
            [record(tick, worker_id="web-1-0af3c9d1", fired_at=tick + 0.002, finished_at=tick + 9)]
        )
    members = raw.zrange(Layout(namespace).queue("q").key("ticks:report"), 0, -1)
    assert len(members) == 100
    assert max(map(len, members)) <= 64


async def test_an_entry_that_was_retired_for_400_days_is_forgotten(
    broker: RedisBroker, raw: Any, namespace: str
) -> None:
    """The next registration no longer speaks of it."""
    await broker.register_crons("app", "1", [entry(), entry("old")], ttl=60)
    await broker.register_crons("app", "2", [entry()], ttl=60)
    crons = Layout(namespace).fleet.key("crons:app")
    since, _, definition = raw.hget(crons, "q old").partition(b" ")
    raw.hset(crons, "q old", b"%d %s" % (int(since) - 401 * 86_400_000, definition))
    await broker.register_crons("app", "2", [entry()], ttl=60)
    assert [status.definition.name for status in await broker.cron_statuses()] == ["report"]


async def test_attendance_costs_the_same_with_any_number_of_entries(broker: RedisBroker, raw: Any) -> None:
    """One script, that looks at nothing but the pauses."""
    await broker.register_crons("app", "1", [entry(str(n)) for n in range(2000)], ttl=60)
    await broker.pause_cron(entry("7").key, note="", by="me")
    await broker.renew_registration("app", "1", ttl=60)
    raw.config_resetstat()
    assert (await broker.renew_registration("app", "1", ttl=60)).paused == [entry("7").key]
    calls = {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in raw.info("commandstats").items()}
    assert (calls["evalsha"], calls["hkeys"], calls["hexists"]) == (1, 1, 1)
    assert sum(calls.values()) < 15


async def test_ten_thousand_entries_are_registered_in_few_steps(broker: RedisBroker, raw: Any) -> None:
    """Five hundred at a time, so that others get their turn; and all of them can be looked at."""
    crons = [entry(str(n)) for n in range(10_000)]
    await broker.register_crons("app", "0", crons[:1], ttl=60)
    raw.config_resetstat()
    assert len((await broker.register_crons("app", "1", crons, ttl=60)).added) == 9_999
    assert raw.info("commandstats")["cmdstat_evalsha"]["calls"] == 22
    assert len(await broker.cron_statuses("app")) == 10_000


def _run(raw: Any, name: str, keys: list[str], *args: object) -> Any:
    """Run a script by hand, as a client that is about to die would."""
    return raw.eval(load(name).text, len(keys), *keys, *args)


async def test_what_another_process_has_registered_since_is_told(
    broker: RedisBroker, make_broker: Callable[..., RedisBroker]
) -> None:
    """What is remembered of a definition is of one registration, and a newer one counts."""
    await broker.register_crons("app", "1", [entry(expression="0 9 * * *")], ttl=60)
    for expression, app in (("0 9 * * *", "app"), ("0 10 * * *", "app"), ("0 11 * * *", "other")):
        await make_broker().register_crons(app, expression, [entry(expression=expression)], ttl=60)
        for _ in range(2):
            status = await broker.cron_status(KEY)
            assert status is not None
            assert (status.definition.expression, status.app) == (expression, app)


async def test_entries_that_are_asked_about_at_once_share_a_command(broker: RedisBroker, raw: Any) -> None:
    """However many callers there are; each gets the answer to its own question, and one that gives up harms nobody."""
    names = [f"n{number}" for number in range(250)]
    await broker.register_crons("app", "1", [entry(name) for name in names], ttl=60)
    await broker.cron_status(entry("n0").key)  # a server that has no script yet is asked twice
    before = calls(raw)
    asked = [asyncio.ensure_future(broker.cron_status(entry(name).key)) for name in [*names, "unknown", *names]]
    await asyncio.sleep(0)
    asked[0].cancel()
    _, *told = await asyncio.gather(*asked, return_exceptions=True)
    found = [status.definition.name if isinstance(status, CronStatus) else status for status in told]
    assert found == [*names[1:], None, *names]
    assert calls(raw) - before == 6


async def test_an_entry_whose_key_is_foreign_harms_no_other_that_is_asked_about(
    broker: RedisBroker, raw: Any, namespace: str
) -> None:
    """The server refuses the command that they share; then each is asked about alone."""
    await broker.register_crons("app", "1", [entry("good"), entry("bad")], ttl=60)
    key = Layout(namespace).queue("q").key("cron:bad")
    raw.delete(key)
    raw.set(key, "somebody's")
    asked = [broker.cron_status(entry(name).key) for name in ("good", "bad", "good")]
    first, second, third = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, CronStatus)
    assert isinstance(third, CronStatus)
    assert isinstance(second, BrokerConfigError)
    assert f"key {key} is a string and should be a hash" in str(second)
    raw.delete(key)


@pytest.mark.parametrize("key", ["cron:bad", "ticks:bad"])
async def test_a_claim_that_cannot_be_decided_spends_no_other(
    broker: RedisBroker, raw: Any, namespace: str, key: str
) -> None:
    """Nothing of a call is done when the server refuses one of its claims; alone, the others win."""
    now = round(await broker.time(), 3)
    claims = [bid(now, name="good", job=job("t")), bid(now, name="bad", job=job("t"))]
    raw.set(full := Layout(namespace).queue("q").key(key), "somebody's")
    with pytest.raises(BrokerConfigError, match=f"key {re.escape(full)} is a string"):
        await broker.claim_ticks(claims)
    assert await claim(broker) == []
    reply = await broker.claim_tick(claims[0])
    assert (reply.outcome, reply.won) == (WON, (now,))
    raw.delete(full)


def calls(raw: Any) -> int:
    """Return how many scripts were called."""
    stats = raw.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))
