"""The ledger of ticks beyond the shipped suite: lost replies, a full server, interrupted registrations, and costs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioq.errors import BrokerConfigError, BrokerFull
from aioq.model.cron import Attendance, CronChanges, CronCounts, CronStatus, TickOutcome, TickStatus
from aioq.model.job import Completed, Lease, NewJob
from aioq_redis import RedisBroker
from aioq_redis.cron import registry
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
    async def test_claim_tick_lost_reply_is_repeated(
        self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None], template: NewJob | None
    ) -> None:
        """The winner gets its answer, the job is enqueued once, and the tick is recorded once."""
        now = await moment(shaky)
        await shaky.claim_tick(bid(now - 60))
        lose("claim_ticks")
        reply = await shaky.claim_tick(bid(now - 20, now, job=template))
        assert proxy.connections == 2
        assert (reply.outcome, reply.won, reply.previous) == (WON, (now - 20, now), now - 60)
        assert len(await claim(shaky)) == (2 if template else 0)
        assert await told(shaky) == [(now, "fired"), (now - 20, "fired"), (now - 60, "fired")]

    async def test_claim_tick_lost_reply_ended_job_runs_once(
        self, shaky: RedisBroker, broker: RedisBroker, proxy: Proxy, lose: Callable[[str], None]
    ) -> None:
        """A job that has ended before the winner repeats its claim is not enqueued again."""
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

    async def test_claim_tick_lost_reply_after_later_ticks(
        self, shaky: RedisBroker, broker: RedisBroker, proxy: Proxy, lose: Callable[[str], None]
    ) -> None:
        """A winner that repeats its claim after later ticks were won gets its answer, and can run the tick."""
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

    async def test_register_lost_reply_is_repeated(
        self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None]
    ) -> None:
        """Whichever step is repeated, the broker returns the original changes, and arms the entries once."""
        await shaky.register_crons("app", "1", [entry("old"), entry("edited")], ttl=60)
        expected = CronChanges(added=[KEY], changed=[entry("edited").key], removed=[entry("old").key])
        for name in ("register_app", "register_crons", "open_version"):
            lose(name)
        crons = [entry(), entry("edited", fingerprint="g")]
        assert await shaky.register_crons("app", "2", crons, ttl=60) == expected
        assert proxy.connections == 4
        assert (await shaky.renew_registration("app", "2", ttl=60)).version == "2"
        assert await shaky.register_crons("app", "2", crons, ttl=60) == CronChanges(added=[], changed=[], removed=[])

    async def test_record_ticks_lost_reply_counts_once(
        self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None]
    ) -> None:
        """Records whose reply was lost are counted once."""
        lose("record_ticks")
        await shaky.record_ticks([record(60.0), record(120.0, TickStatus.MISSED, count=3)])
        await shaky.register_crons("app", "1", [entry()], ttl=60)
        (status,) = await shaky.cron_statuses()
        assert status.counts == CronCounts(fired=1, ok=1, missed=3)
        assert proxy.connections == 2

    async def test_extend_runs_lost_reply_is_repeated(
        self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None]
    ) -> None:
        """The broker returns the replaced runs after a lost reply."""
        now = await moment(shaky)
        await shaky.claim_tick(bid(now - 60))
        await shaky.claim_tick(bid(now, worker="w2"))
        lose("extend_runs")
        assert await shaky.extend_runs([run_of(now - 60), run_of(now, "w2")], seconds=60) == [run_of(now - 60)]
        assert proxy.connections == 2

    async def test_pause_lost_reply_returns_first_answer(
        self, shaky: RedisBroker, proxy: Proxy, lose: Callable[[str], None]
    ) -> None:
        """The broker returns that it paused or resumed the entry, not that the entry was already paused or resumed."""
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

    async def test_ledger_on_full_server_accepts_writes(self, full: RedisBroker) -> None:
        """Claims, extensions, records, pauses and registrations succeed on a full server."""
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

    async def test_claim_tick_on_full_server_is_not_spent(self, full: RedisBroker) -> None:
        """The worker gets an error and can claim the tick again once there is memory, also if the job has a delay."""
        before = await told(full)
        tick = await full.time() + 0.5
        for template in (job("t"), job("t", delay=5.0)):
            with pytest.raises(BrokerFull, match="is full: it has reached its maxmemory"):
                await full.claim_tick(bid(tick, job=template))
        assert await told(full) == before
        assert (await full.claim_tick(bid(tick))).outcome is WON

    async def test_skip_tick_on_full_server_succeeds(self, full: RedisBroker) -> None:
        """A tick is skipped on a full server if the entry is paused or its previous job still runs."""
        await full.pause_cron(KEY, note="", by="me")
        assert (await full.claim_tick(bid(await full.time() + 0.5, job=job("t")))).outcome is PAUSED


class TestCutShort:
    """A process that dies between the steps of a registration or a pause."""

    async def test_register_interrupted_version_is_not_open(
        self, broker: RedisBroker, raw: Any, namespace: str
    ) -> None:
        """The next worker that renews the registration registers the entries again, which completes it."""
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

    async def test_register_interrupted_old_version_stays_replaced(
        self, broker: RedisBroker, raw: Any, namespace: str
    ) -> None:
        """Workers of the replaced version do not register it again, which would undo a deploy in progress."""
        await broker.register_crons("app", "1", [entry()], ttl=60)
        fleet = Layout(namespace).fleet
        _run(raw, "register_app", fleet.pick(load("register_app").keys, "app"), "app", "2", 10**9, 10**9)
        assert (await broker.renew_registration("app", "1", ttl=60)).version == "2"

    async def test_register_interrupted_version_lapses(self, broker: RedisBroker, raw: Any, namespace: str) -> None:
        """The previous version is registered again, as if the workers of the new one were gone."""
        await broker.register_crons("app", "1", [entry()], ttl=60)
        fleet = Layout(namespace).fleet
        keys = fleet.pick(load("register_app").keys, "app")
        _run(raw, "register_app", keys, "app", "2", 10**9, 10**9)
        assert 0 < raw.pttl(fleet.key("version:app")) <= 10**9

    async def test_register_late_older_registration_is_ignored(
        self, broker: RedisBroker, raw: Any, namespace: str
    ) -> None:
        """Of two overlapping registrations the newer one wins in every entry, and its version is open."""
        await broker.register_crons("app", "2", [entry(fingerprint="new")], ttl=60)
        layout = Layout(namespace)
        keys = layout.queue("q").pick(load("register_crons").keys, each=["report"])
        assert _run(raw, "register_crons", keys, 1, "app", 10**9, "+old") == [1]
        assert _run(raw, "register_crons", keys, 1, "app", 10**9, "") == [1]
        fleet = layout.fleet.pick(load("open_version").keys, "app")
        assert _run(raw, "open_version", fleet, 1, "1", 10**9) == 0
        assert (await broker.renew_registration("app", "2", ttl=60)).version == "2"
        assert (await broker.claim_tick(bid(await broker.time() + 0.5, fingerprint="new"))).outcome is WON

    async def test_pause_interrupted_is_shown_and_repeatable(
        self, broker: RedisBroker, raw: Any, namespace: str
    ) -> None:
        """The keys of the entry are written first by a pause, and last by a resumption."""
        await broker.register_crons("app", "1", [entry()], ttl=60)
        await broker.pause_cron(KEY, note="flood", by="me")
        raw.delete(Layout(namespace).fleet.key("pauses"))
        (status,) = await broker.cron_statuses()
        assert status.pause is not None
        await broker.pause_cron(KEY, note="flood", by="me")
        assert (await broker.renew_registration("app", "1", ttl=60)).paused == [KEY]


async def test_ledger_two_namespaces_are_separate(make_broker: Callable[..., RedisBroker], namespace: str) -> None:
    """An entry of the same name in another namespace is another entry."""
    ours, theirs = make_broker(), make_broker(namespace=f"{namespace}-2")
    now = await moment(ours)
    await ours.register_crons("app", "1", [entry()], ttl=60)
    assert (await ours.claim_tick(bid(now + 0.5))).outcome is WON
    assert await theirs.cron_statuses() == []
    assert (await theirs.claim_tick(bid(now))).outcome is WON
    assert await told(ours) == [(now + 0.5, "fired")]


async def test_claim_tick_makes_queue_known(broker: RedisBroker) -> None:
    """A queue that has only jobs of ticks is in the statistics."""
    tick = await moment(broker)
    await broker.claim_tick(bid(tick, queue="reports", job=job("t")))
    assert [(stats.queue, stats.pending) for stats in await broker.queue_stats()] == [("reports", 1)]


@pytest.mark.parametrize("name", ["", "a b", "a\n", "x" * 201, "{}"])
async def test_ledger_invalid_name_is_rejected(broker: RedisBroker, name: str) -> None:
    """Each call that takes a name rejects an invalid one before it sends anything."""
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
async def test_claim_tick_mistyped_key_is_named(
    broker: RedisBroker, raw: Any, namespace: str, tampered: list[bool], key: str
) -> None:
    """The error names the key, and the tick can be won once the key is removed."""
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


async def test_ledger_keys_are_bounded(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """Each key has a time to live of 400 days, and a thousand ticks leave a hundred records."""
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


async def test_tick_history_is_compact(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A hundred usual records fit the limits of one packed block of the server: 128 members of 64 bytes."""
    for n in range(100):
        tick = 1_800_000_000.0 + 60 * n
        await broker.record_ticks(
            [record(tick, worker_id="web-1-0af3c9d1", fired_at=tick + 0.002, finished_at=tick + 9)]
        )
    members = raw.zrange(Layout(namespace).queue("q").key("ticks:report"), 0, -1)
    assert len(members) == 100
    assert max(map(len, members)) <= 64


async def test_register_entry_retired_400_days_is_forgotten(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """A registration does not report an entry that was retired 400 days ago."""
    await broker.register_crons("app", "1", [entry(), entry("old")], ttl=60)
    await broker.register_crons("app", "2", [entry()], ttl=60)
    crons = Layout(namespace).fleet.key("crons:app")
    since, _, definition = raw.hget(crons, "q old").partition(b" ")
    raw.hset(crons, "q old", b"%d %s" % (int(since) - 401 * 86_400_000, definition))
    await broker.register_crons("app", "2", [entry()], ttl=60)
    assert [status.definition.name for status in await broker.cron_statuses()] == ["report"]


async def test_renew_registration_cost_is_constant(broker: RedisBroker, raw: Any) -> None:
    """The broker runs one script that reads only the pauses, whatever the number of entries."""
    await broker.register_crons("app", "1", [entry(str(n)) for n in range(2000)], ttl=60)
    await broker.pause_cron(entry("7").key, note="", by="me")
    await broker.renew_registration("app", "1", ttl=60)
    raw.config_resetstat()
    assert (await broker.renew_registration("app", "1", ttl=60)).paused == [entry("7").key]
    calls = {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in raw.info("commandstats").items()}
    assert (calls["evalsha"], calls["hkeys"], calls["hexists"]) == (1, 1, 1)
    assert sum(calls.values()) < 15


async def test_renew_registration_lists_no_workers_of_huge_fleet(
    broker: RedisBroker, raw: Any, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit the answers list none: each of the workers would read about all others every five seconds."""
    monkeypatch.setattr(registry, "MAX_PRESENT", 2)

    async def attend(worker_id: str) -> list[str]:
        worker = Attendance(worker_id=worker_id, fires=("a",), seconds=60.0)
        return sorted((await broker.renew_registration("app", "1", ttl=60, worker=worker)).present)

    assert [await attend(worker_id) for worker_id in ("w1", "w2", "w3", "w2")] == [["w1"], ["w1", "w2"], [], []]
    assert 0 < raw.pttl(Layout(namespace).fleet.key("attendance:app")) <= 60_000


async def test_register_ten_thousand_entries_in_batches(broker: RedisBroker, raw: Any) -> None:
    """A script registers at most 500 entries, and the broker returns the status of all of them."""
    crons = [entry(str(n)) for n in range(10_000)]
    await broker.register_crons("app", "0", crons[:1], ttl=60)
    raw.config_resetstat()
    assert len((await broker.register_crons("app", "1", crons, ttl=60)).added) == 9_999
    assert raw.info("commandstats")["cmdstat_evalsha"]["calls"] <= 22  # 20, and the version
    assert len(await broker.cron_statuses("app")) == 10_000


def _run(raw: Any, name: str, keys: list[str], *args: object) -> Any:
    """Run a script by hand, as a client that is about to die would."""
    return raw.eval(load(name).text, len(keys), *keys, *args)


async def test_cron_status_newer_registration_is_read(
    broker: RedisBroker, make_broker: Callable[..., RedisBroker]
) -> None:
    """A cached definition is not used after another process has registered the entry again."""
    await broker.register_crons("app", "1", [entry(expression="0 9 * * *")], ttl=60)
    for expression, app in (("0 9 * * *", "app"), ("0 10 * * *", "app"), ("0 11 * * *", "other")):
        await make_broker().register_crons(app, expression, [entry(expression=expression)], ttl=60)
        for _ in range(2):
            status = await broker.cron_status(KEY)
            assert status is not None
            assert (status.definition.expression, status.app) == (expression, app)


async def test_claim_tick_job_knows_latest_success(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """The lease of a tick's job has the latest success before it, unless its result is long or what is stored damaged."""
    now = await moment(broker)
    plain, expiring = job("template"), job("template", priority=7, expires=60.0, headers={"a": "b"})
    for after, template, result in (
        (5, plain, None),
        (4, expiring, b'{"a":"\n\x00"}'),
        (3, plain, b"x" * 128),
        (2, plain, b"x" * 129),
    ):
        await broker.claim_tick(bid(now - after, job=template))
        await broker.record_ticks([record(now - after, result=result)])
    await broker.claim_tick(bid(now - 1, job=plain))
    await broker.record_ticks([record(now + 0.5)])
    await broker.claim_tick(bid(now, job=plain))
    raw.hset(Layout(namespace).queue("q").key("cron:report"), "success", "1e5")
    await broker.claim_tick(bid(now + 0.1, job=plain))
    leases = sorted(await claim(broker), key=lambda lease: lease.job_id)
    known = [lease.latest_success and (lease.latest_success.tick, lease.latest_success.result) for lease in leases]
    assert known == [
        (None, None), (now - 5, None), (now - 4, b'{"a":"\n\x00"}'), (now - 3, b"x" * 128), None, None, None,
    ]  # fmt: skip
    assert [(lease.priority, lease.headers) for lease in leases[:2]] == [(5, None), (7, {"a": "b"})]
    assert leases[1].expires_at is not None
    repeated = await claim(broker)
    assert repeated == []


async def test_cron_status_concurrent_calls_share_command(broker: RedisBroker, raw: Any) -> None:
    """Concurrent calls share a command. Each gets its own reply, and a cancelled one does not affect the others."""
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


async def test_cron_status_mistyped_key_fails_one_call(broker: RedisBroker, raw: Any, namespace: str) -> None:
    """If the server rejects a shared command, each entry is looked up alone, and only one call fails."""
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
async def test_claim_ticks_rejected_claim_spends_no_tick(
    broker: RedisBroker, raw: Any, namespace: str, key: str
) -> None:
    """If the server rejects one claim of a call, no tick of the call is decided, and the others can be won alone."""
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
