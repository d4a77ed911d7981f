"""Connections: lazily opened, lost and found again, shared by callers that come and go."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.model.job import Completed, Settled
from aioq_redis import RedisBroker
from aioq_redis.client import blocking, pipeline
from aioq_redis.client import pubsub as channels
from aioq_redis.client.connection import connect
from aioq_redis.client.url import Settings
from tests.core.rig import lease
from tests.redis.job_helpers import claim, job, request, until, work_of
from tests.redis.proxy import Fault, Proxy, When
from tests.servers import RedisServer


@pytest.fixture
def behind(proxy: Proxy, make_broker: Callable[..., RedisBroker]) -> RedisBroker:
    """A broker that reaches the shared server through the proxy."""
    return make_broker(proxy.url)


async def test_a_broker_connects_when_it_is_first_used(broker: RedisBroker) -> None:
    """Nothing needs to be called before."""
    assert await broker.enqueue([job("a")]) == [True]


async def test_a_closed_broker_leaves_nothing_behind(redis_url: str, namespace: str, raw: Any) -> None:
    """No task and no connection outlives `close`."""
    tasks = asyncio.all_tasks()
    broker = RedisBroker(redis_url, namespace=namespace)
    before = {client["id"] for client in raw.client_list()}
    await broker.enqueue([job("a")])
    assert await work_of(broker, timeout=1) == ["a"]
    assert await work_of(broker, timeout=0.05) == []
    waiter = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=0.1))
    assert await waiter is False
    await broker.close()
    assert asyncio.all_tasks() == tasks
    await until(lambda: {client["id"] for client in raw.client_list()} == before)


async def test_closing_ends_a_wait(broker: RedisBroker, raw: Any) -> None:
    """A worker that waits for work hears that the broker was closed."""
    await claim(broker)
    wait = asyncio.ensure_future(broker.wait_and_claim(request(), timeout=30))
    await until(lambda: raw.info("clients")["blocked_clients"])
    await broker.close()
    assert (await wait).leases == []


async def test_a_closed_broker_fails_what_was_under_way(behind: RedisBroker, proxy: Proxy) -> None:
    """A call that is waiting for its reply ends with an error, and opens no new connection."""
    await behind.connect()
    proxy.delay = 30.0
    call = asyncio.ensure_future(behind.time())
    await proxy.wait_for(b"\r\nTIME\r\n")
    await behind.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        await call
    assert proxy.connections == 1


def test_one_broker_may_live_in_one_loop_after_another(redis_url: str, namespace: str, redis_server: object) -> None:
    """After `close` another event loop may use the object; after a loop's end it may even without."""
    broker = RedisBroker(redis_url, namespace=namespace)

    async def use(*, close: bool) -> None:
        await broker.connect()
        await broker.time()
        if close:
            await broker.close()

    for close in (True, True):
        asyncio.run(use(close=close))


async def test_a_broker_in_use_elsewhere_says_so(broker: RedisBroker) -> None:
    """Another event loop cannot use a connected broker."""
    await broker.connect()

    def elsewhere() -> None:
        asyncio.run(broker.time())

    with pytest.raises(BrokerConfigError, match="another event loop"):
        await asyncio.to_thread(elsewhere)


def test_other_event_loops_are_refused() -> None:
    """Without asyncio there is a clear error."""
    coroutine = RedisBroker().time()
    with pytest.raises(BrokerConfigError, match="asyncio"):
        coroutine.send(None)


async def test_an_unreachable_server_is_noticed_at_once(make_broker: Callable[..., RedisBroker]) -> None:
    """Where nobody listens, connecting fails without a wait, and says what to check."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        broker = make_broker(f"redis://127.0.0.1:{unused.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(
            BrokerUnavailable, match=r"127\.0\.0\.1.* is unavailable: .*[^.]; check that the server is up"
        ):
            await broker.connect()
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("word", [b"AUTH", b"HELLO", b"maxmemory-policy", b"EVALSHA"])
@pytest.mark.parametrize("when", When)
async def test_a_connection_that_breaks_while_a_broker_connects_is_made_anew(
    behind: RedisBroker, proxy: Proxy, word: bytes, when: When
) -> None:
    """Somebody was there, so it is no reason to give up: a worker that starts at that moment stays."""
    if word == b"AUTH" and "@" not in proxy.url:
        pytest.skip("the URL in AIOQ_TEST_REDIS_URL names no user to log in")
    proxy.fail(Fault(word, when, silent=False))
    await behind.connect()
    assert proxy.connections == 2
    assert await behind.enqueue([job("a")]) == [True]


async def test_calls_are_given_up_when_their_time_is_over(make_broker: Callable[..., RedisBroker]) -> None:
    """While nobody answers a call is repeated, until its timeout."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        broker = make_broker(f"redis://127.0.0.1:{unused.getsockname()[1]}", timeout=0.3)
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await broker.enqueue([job("a")])
    assert time.monotonic() - started < 1


async def test_a_server_that_hangs_is_given_up(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """Where a connection stays open and nothing comes back, a call still ends."""
    server = start_server()
    broker = make_broker(server.url, timeout=0.3)
    await broker.connect()
    server.pause()
    with pytest.raises(BrokerUnavailable, match=r"no answer within 0\.3 s"):
        await broker.time()
    server.resume()
    assert await broker.time() > 0


async def test_a_server_that_restarts_is_found_again(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
) -> None:
    """The next call works, with the data that the server kept; the loss is logged once."""
    server = start_server("--appendonly", "yes")
    broker = make_broker(server.url)
    await broker.enqueue([job("a")])
    with caplog.at_level(logging.INFO, "aioq.redis"):
        server.restart()
        assert [lease.job_id for lease in await claim(broker)] == ["a"]
    said = [record.getMessage().partition(" unix")[0] for record in caplog.records]
    assert said == ["lost the connection to", "connected to"]


async def test_killed_connections_go_unnoticed(broker: RedisBroker, raw: Any) -> None:
    """CLIENT KILL in the midst of things costs a reconnect and no job."""
    for n in range(20):
        raw.client_kill_filter(_type="normal", skipme=True)
        await broker.enqueue([job(f"job-{n}")])
    assert len(await claim(broker, 100)) == 20


async def test_a_cancelled_caller_takes_nobody_elses_reply(behind: RedisBroker, proxy: Proxy) -> None:
    """Cancelling a call at any moment leaves the next reply to the next caller."""
    await behind.enqueue([job("a")])
    proxy.delay = 0.05
    for wait in (0.0, 0.01, 0.04, 0.06):
        cancelled = [asyncio.ensure_future(behind.time()) for _ in range(5)]
        await asyncio.wait(cancelled, timeout=wait)
        for call in cancelled:
            call.cancel()
        record, stats = await asyncio.gather(behind.get_job("a", queue="q"), behind.queue_stats())
        assert record is not None
        assert (record.id, stats[0].pending) == ("a", 1)
    assert proxy.connections == 1


async def test_concurrent_calls_share_a_connection(behind: RedisBroker, proxy: Proxy) -> None:
    """Any number of callers uses one connection."""
    await asyncio.gather(*(behind.time() for _ in range(200)))
    assert proxy.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-BUSY Redis is busy running a script.\r\n",
        b"-MOVED 3999 127.0.0.1:6381\r\n",
        b"-ASK 3999 127.0.0.1:6381\r\n",
        b"-ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY You can't write\r\n",
    ],
)
async def test_a_server_that_is_not_ready_is_asked_again(behind: RedisBroker, proxy: Proxy, reply: bytes) -> None:
    """Errors that pass by themselves are not seen by the caller; the connection is made anew."""
    await behind.enqueue([job("a")])
    proxy.answer(b"EVALSHA", reply)
    assert await behind.enqueue([job("b")]) == [True]
    assert proxy.connections == 2


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
        (b"-NOPERM this user has no permissions to run the 'evalsha' command\r\n", "'evalsha'.*extend the user's ACL"),
        (b"-ERR something else\r\n", "refuses enqueue: something else"),
    ],
)
async def test_an_error_that_will_not_pass_is_raised(
    behind: RedisBroker, proxy: Proxy, reply: bytes, complaint: str
) -> None:
    """Errors of settings and of rights name what was refused."""
    await behind.enqueue([job("a")])
    proxy.answer(b"EVALSHA", reply)
    with pytest.raises(BrokerConfigError, match=complaint):
        await behind.enqueue([job("b")])


async def test_what_is_no_reply_ends_the_connection(behind: RedisBroker, proxy: Proxy) -> None:
    """Who speaks another protocol, or is out of step, is not listened to any longer."""
    await behind.connect()
    proxy.answer(b"TIME", b"HTTP/1.1 400 Bad Request\r\n")
    assert await behind.time() > 0
    assert proxy.connections == 2


async def test_a_lost_reply_to_an_enqueue_makes_no_second_job(behind: RedisBroker, proxy: Proxy) -> None:
    """The repetition finds the job."""
    await behind.connect()
    proxy.drop_reply_to(b"EVALSHA")
    await behind.enqueue([job("a")])
    assert len(await claim(behind)) == 1


@pytest.mark.parametrize("lost", ["drop_reply_to", "cut_before"])
async def test_a_lost_reply_to_a_claim_loses_no_lease(behind: RedisBroker, proxy: Proxy, lost: str) -> None:
    """The repetition gets the same leases, whether the request had arrived or not."""
    await behind.enqueue([job(id) for id in "abc"])
    await claim(behind, 1, worker="w2")
    getattr(proxy, lost)(b"EVALSHA")
    assert [lease.job_id for lease in await claim(behind, 1)] == ["b"]
    assert [lease.job_id for lease in await claim(behind)] == ["c"]


@pytest.mark.parametrize("keep", [0.0, 60.0])
async def test_a_lost_reply_to_a_settlement_still_says_done(behind: RedisBroker, proxy: Proxy, keep: float) -> None:
    """The repetition is answered as the first was, even if nothing is left of the job."""
    await behind.enqueue([job("a"), job("b")])
    a, b = await claim(behind)
    await behind.settle([Completed(lease=a, retain_for=keep)])
    proxy.drop_reply_to(b"EVALSHA")
    assert await behind.settle([Completed(lease=b, retain_for=keep)]) == [Settled.DONE]


@pytest.mark.parametrize("call", ["cancel_job", "retry_job"])
async def test_a_lost_reply_to_a_change_by_hand_still_says_yes(behind: RedisBroker, proxy: Proxy, call: str) -> None:
    """Cancelling and putting back, repeated, are answered as the first time."""
    await behind.enqueue([job("a")])
    if call == "retry_job":
        await behind.cancel_job("a", queue="q")
    proxy.drop_reply_to(b"EVALSHA", 1)
    assert await getattr(behind, call)("a", queue="q") is True
    assert await getattr(behind, call)("a", queue="q") is False


async def test_a_claim_over_queues_is_repeated_whole(behind: RedisBroker, proxy: Proxy) -> None:
    """A repetition returns what each queue gave, and takes nothing from one that has filled since."""
    await behind.enqueue([job("b", queue="two"), job("c", queue="two")])
    asked = request(2, queues=("one", "two"))
    first = await behind.claim(asked)
    await behind.enqueue([job("a", queue="one")])
    assert (await behind.claim(asked)).leases == first.leases
    assert [lease.job_id for lease in first.leases] == ["b", "c"]


async def test_a_repeated_claim_knows_how_much_it_had_taken(behind: RedisBroker) -> None:
    """Leases that were settled since make no room for jobs of another queue."""
    await behind.enqueue([job("a", queue="one"), job("b", queue="one"), job("c", queue="two")])
    asked = request(2, queues=("one", "two"))
    a, b = (await behind.claim(asked)).leases
    await behind.settle([Completed(lease=a)])
    assert (await behind.claim(asked)).leases == [b]


async def test_a_closed_broker_does_not_try_again(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
) -> None:
    """A call that would be repeated after a pause is not, when the broker was closed in the meantime."""
    for n in range(1, 6):
        broker = make_broker(proxy.url)
        await broker.connect()
        proxy.cut_before(b"TIME")
        call = asyncio.ensure_future(broker.time())
        await until(lambda: caplog.text.count("lost the connection") == n)  # noqa: B023  # called at once
        for _ in range(5):
            await asyncio.sleep(0)
        await broker.close()
        async with asyncio.timeout(2):
            with pytest.raises(BrokerUnavailable):
                await call
        assert proxy.connections == n


# Old releases of redis-py leave a Unix socket that found nobody to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket .*family=1,:pytest.PytestUnraisableExceptionWarning"
)
async def test_no_output_of_a_failing_connect_shows_the_password(
    start_server: Callable[..., RedisServer],
    make_broker: Callable[..., RedisBroker],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither errors nor logs nor output have the secret, however the connection fails."""
    server = start_server("--requirepass", "right", tcp=True)
    caplog.set_level(logging.DEBUG)
    shown = ""
    for url in (
        f"redis://:hunter2@127.0.0.1:{server.port}",
        f"redis://nobody:hunter2@127.0.0.1:{server.port}",
        f"redis://:hunter2@127.0.0.1:{server.port}/99",
        "redis://:hunter2@127.0.0.1:1",
        "unix://:hunter2@/no/such/socket",
        f"rediss://:hunter2@127.0.0.1:{server.port}",
        f"redis+cluster://:hunter2@127.0.0.1:{server.port}",
        f"redis+sentinel://:hunter2@127.0.0.1:{server.port}/main?sentinel_password=hunter2",
    ):
        broker = make_broker(url, timeout=0.2)
        copied, keeper = make_broker(url, timeout=0.2, durability="replica:1"), broker.keeper()
        for call in (
            broker.connect(),
            broker.enqueue([job("a")]),
            copied.enqueue([job("a")]),
            broker.wait_and_claim(request(), timeout=0.1),
            broker.diagnose(),
            asyncio.to_thread(keeper.extend, [lease("a")], seconds=60),
        ):
            with pytest.raises((BrokerConfigError, BrokerUnavailable)) as caught:
                await call
            shown += f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r} {broker!r}"
        keeper.close()
    gc.collect()
    out = capfd.readouterr()
    assert "hunter2" not in shown + caplog.text + out.out + out.err
    assert ":***@" in shown


async def test_a_server_that_is_not_ready_for_a_login_is_asked_again(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """An error that passes by itself is no verdict on the credentials."""
    server = start_server("--requirepass", "right", tcp=True)
    async with Proxy(server.open_url) as proxy:
        broker = make_broker(proxy.url.replace("//", "//:right@"))
        proxy.answer(b"AUTH", b"-BUSY Redis is busy running a script.\r\n")
        assert await broker.time() > 0
        assert proxy.connections == 2
        await broker.close()


async def test_wrong_credentials_are_no_passing_trouble(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """A wrong or missing password is a mistake in the settings, and the right one works."""
    server = start_server("--requirepass", "p@ss/word", tcp=True)
    for secret, said in (("", "NOAUTH"), (":wrong@", "WRONGPASS"), ("nobody:p%40ss%2Fword@", "WRONGPASS")):
        for scheme in ("redis", "redis+cluster"):
            broker = make_broker(f"{scheme}://{secret}127.0.0.1:{server.port}")
            for call in (broker.connect, broker.time):
                with pytest.raises(
                    BrokerConfigError, match=f"does not let us in: {said} .*[^.]; check user name, pass"
                ):
                    await call()
    await make_broker(f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}").connect()


class TestNobodyAtTheOtherEnd:
    """The connections stay open, and nothing comes back any more, as when a machine or a line is gone."""

    async def test_a_call_ends_in_time(self, proxy: Proxy, make_broker: Callable[..., RedisBroker]) -> None:
        """Its deadline holds, whatever the connection does."""
        broker = make_broker(proxy.url, timeout=0.3)
        await broker.connect()
        proxy.silent = True
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=r"no answer within 0\.3 s"):
            await broker.enqueue([job("a")])
        assert time.monotonic() - started < 1

    async def test_the_connection_for_commands_is_replaced(
        self, behind: RedisBroker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reply that is due and does not come gives it up, so that the next call works."""
        monkeypatch.setattr(pipeline, "REPLY_TIMEOUT", 0.2)
        await behind.enqueue([job("a")])
        proxy.silent = True
        call = asyncio.ensure_future(behind.enqueue([job("b")]))
        await proxy.wait_for(b"b\r\n")
        proxy.silent = False
        assert await call == [True]

    async def test_a_blocked_connection_is_replaced(
        self, behind: RedisBroker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server has a moment longer than it was told to wait, and no more."""
        monkeypatch.setattr(blocking, "GRACE", 0.2)
        assert await work_of(behind, timeout=0.05) == []
        wait = asyncio.ensure_future(work_of(behind, timeout=0.3))
        await until(lambda: proxy.commands.count(b"BLPOP") == 2)
        proxy.silent, before = True, proxy.connections
        await asyncio.sleep(0.45)  # by now the server has answered, at most 0.1 s late
        proxy.silent = False
        async with asyncio.timeout(2):
            assert await wait == []
        assert await work_of(behind, timeout=0.05) == []
        assert proxy.connections == before + 1

    async def test_a_listener_notices(
        self,
        behind: RedisBroker,
        proxy: Proxy,
        raw: Any,
        namespace: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Where nothing is heard the server is asked for a word; without one the listener connects anew."""
        monkeypatch.setattr(channels, "SILENCE", 0.1)
        monkeypatch.setattr(channels, "PING_TIMEOUT", 0.1)
        monkeypatch.setattr(pipeline, "REPLY_TIMEOUT", 0.3)  # its question whether the job has ended may get lost too
        await behind.enqueue([job("a")])
        (lease,) = await claim(behind)
        wait = asyncio.ensure_future(behind.wait_for_result("a", queue="q", timeout=20))
        await until(lambda: raw.exists(f"{{{namespace}:q}}:waits"))
        with caplog.at_level(logging.INFO, "aioq.redis"):
            proxy.silent = True
            await until(lambda: "the server was silent for 0.2 s" in caplog.text)
        proxy.silent = False
        await behind.settle([Completed(lease=lease)])
        async with asyncio.timeout(5):
            assert await wait is True


async def test_a_listener_that_is_answered_stays(
    behind: RedisBroker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence alone is no reason to connect anew."""
    monkeypatch.setattr(channels, "SILENCE", 0.02)
    await behind.enqueue([job("a")])
    wait = asyncio.ensure_future(behind.wait_for_result("a", queue="q", timeout=20))
    async with asyncio.timeout(5):
        while proxy.commands.count(b"PING") < 5:
            await asyncio.sleep(0)
    assert proxy.connections == 2
    wait.cancel()


async def test_a_blocked_connection_to_a_replica_is_given_up(behind: RedisBroker, proxy: Proxy) -> None:
    """READONLY to a wait means that the primary is elsewhere: the same connection would never be told of a job."""
    assert await work_of(behind, timeout=0.05) == []
    before = proxy.connections
    proxy.answer(b"BLPOP", b"-READONLY You can't write against a read only replica.\r\n")
    assert await work_of(behind, timeout=0.3) == []
    assert proxy.connections == before + 1


async def test_idle_connections_are_kept_alive(
    redis_server: RedisServer, start_server: Callable[..., RedisServer]
) -> None:
    """The system asks the other side for a sign of life, so that a machine that is gone is noticed."""
    connection = await connect(Settings.from_url(start_server(tcp=True).url))
    sock = connection._transport.get_extra_info("socket")  # pyright: ignore[reportPrivateUsage]  # no other way to it
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
    await connection.close()
