"""Connections: they are opened lazily, shared by callers, and replaced when they break."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest

from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.model.job import Completed, Settled
from aioq_redis import RedisBroker
from aioq_redis.client import client
from aioq_redis.client import pubsub as channels
from aioq_redis.client.connection import Connection, connect
from aioq_redis.client.url import Settings
from tests.core.rig import lease
from tests.redis.job_helpers import claim, job, request, until, work_of
from tests.redis.proxy import Fault, Proxy, When
from tests.servers import RedisServer


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make brokers give up a silent connection long before a call is over; to be asked for before a broker."""
    monkeypatch.setattr(client, "silence_limit", lambda timeout: 0.2)


@pytest.fixture
def behind(proxy: Proxy, make_broker: Callable[..., RedisBroker]) -> RedisBroker:
    """A broker that reaches the shared server through the proxy."""
    return make_broker(proxy.url)


async def test_first_call_connects(broker: RedisBroker) -> None:
    """The broker connects with its first call; `connect` is optional."""
    assert await broker.enqueue([job("a")]) == [True]


async def test_close_leaves_no_task_or_connection(redis_url: str, namespace: str, raw: Any) -> None:
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


async def test_close_ends_waiting_claim(broker: RedisBroker, raw: Any) -> None:
    """A claim that waits returns without leases when the broker is closed."""
    await claim(broker)
    wait = asyncio.ensure_future(broker.wait_and_claim(request(), timeout=30))
    await until(lambda: raw.info("clients")["blocked_clients"])
    await broker.close()
    assert (await wait).leases == []


async def test_close_fails_call_under_way(behind: RedisBroker, proxy: Proxy) -> None:
    """A call that waits for its reply raises `BrokerUnavailable`, and opens no new connection."""
    await behind.connect()
    proxy.delay = 30.0
    call = asyncio.ensure_future(behind.time())
    await proxy.wait_for(b"\r\nTIME\r\n")
    await behind.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        await call
    assert proxy.connections == 1


async def test_connect_to_closed_port_fails_at_once(make_broker: Callable[..., RedisBroker]) -> None:
    """`connect` fails without a pause if the port is closed, and the error says what to check."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        broker = make_broker(f"redis://127.0.0.1:{unused.getsockname()[1]}", timeout=3600)
        with pytest.raises(
            BrokerUnavailable, match=r"127\.0\.0\.1.* is unavailable: .*[^.]; check that the server is up"
        ):
            await broker.connect()


@pytest.mark.parametrize("word", [b"AUTH", b"HELLO", b"maxmemory-policy", b"EVAL"])
@pytest.mark.parametrize("when", When)
async def test_connect_retries_broken_connection(behind: RedisBroker, proxy: Proxy, word: bytes, when: When) -> None:
    """`connect` tries again if a server answered and the connection broke, so a starting worker survives it."""
    if word == b"AUTH" and "@" not in proxy.url:
        pytest.skip("the URL in AIOQ_TEST_REDIS_URL names no user to log in")
    proxy.fail(Fault(word, when, silent=False))
    await behind.connect()
    # After a login without an answer, one more looks whether the server speaks TLS.
    assert proxy.connections == (3 if word in (b"AUTH", b"HELLO") else 2)
    assert await behind.enqueue([job("a")]) == [True]


async def test_call_to_closed_port_ends_at_timeout(make_broker: Callable[..., RedisBroker]) -> None:
    """A call is repeated until its timeout while no server answers."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        broker = make_broker(f"redis://127.0.0.1:{unused.getsockname()[1]}", timeout=0.3)
        with pytest.raises(BrokerUnavailable):
            await broker.enqueue([job("a")])


async def test_call_to_hanging_server_ends_at_timeout(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """A call ends at its timeout if the connection is open and no reply comes."""
    server = start_server()
    broker = make_broker(server.url, timeout=2)
    await broker.connect()
    server.pause()
    with pytest.raises(BrokerUnavailable, match="no answer within 2 s"):
        await broker.time()
    server.resume()
    assert await broker.time() > 0


async def test_server_restart_is_survived(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
) -> None:
    """The next call works with the data that the server kept; the loss is logged once."""
    server = start_server("--appendonly", "yes")
    broker = make_broker(server.url)
    await broker.enqueue([job("a")])
    with caplog.at_level(logging.INFO, "aioq.redis"):
        server.restart()
        assert [lease.job_id for lease in await claim(broker)] == ["a"]
    said = [record.getMessage().partition(" unix")[0] for record in caplog.records]
    assert said == ["lost the connection to", "connected to"]


async def test_client_kill_loses_no_job(broker: RedisBroker, raw: Any) -> None:
    """CLIENT KILL costs a reconnect and no job."""
    for n in range(20):
        raw.client_kill_filter(_type="normal", skipme=True)
        await broker.enqueue([job(f"job-{n}")])
    assert len(await claim(broker, 100)) == 20


async def test_cancelled_call_shifts_no_reply(behind: RedisBroker, proxy: Proxy) -> None:
    """A call can be cancelled at any moment; the other callers get their own replies."""
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


async def test_concurrent_calls_share_one_connection(behind: RedisBroker, proxy: Proxy) -> None:
    """Any number of callers uses one connection."""
    await asyncio.gather(*(behind.time() for _ in range(200)))
    assert proxy.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-BUSY Redis is busy running a script.\r\n",
        b"-MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.\r\n",
        b"-NOREPLICAS Not enough good replicas to write.\r\n",
    ],
)
async def test_answer_of_server_that_is_not_ready_keeps_connection(
    behind: RedisBroker, proxy: Proxy, reply: bytes
) -> None:
    """The caller does not see errors that pass. An error is an answer, so the connection is in order."""
    await behind.enqueue([job("a")])
    proxy.answer(b"EVALSHA", reply)
    assert await behind.enqueue([job("b")]) == [True]
    assert proxy.connections == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-MOVED 3999 127.0.0.1:6381\r\n",
        b"-ASK 3999 127.0.0.1:6381\r\n",
        b"-ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -READONLY You can't write\r\n",
    ],
)
async def test_answer_of_wrong_server_replaces_connection_once(
    behind: RedisBroker, proxy: Proxy, caplog: pytest.LogCaptureFixture, reply: bytes
) -> None:
    """The name may lead to another server now. If the next one answers the same, it is not left at once."""
    await behind.enqueue([job("a")])
    for _ in range(3):
        proxy.answer(b"EVALSHA", reply)
    assert await behind.enqueue([job("b")]) == [True]
    assert proxy.connections == 2
    assert caplog.messages == []


async def test_server_that_cuts_connections_is_logged_once(
    behind: RedisBroker, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that opens and is cut before any reply is no recovery."""
    await behind.enqueue([job("a")])
    proxy.cut_before(b"EVALSHA", 4)
    with caplog.at_level(logging.INFO, "aioq.redis"):
        assert await behind.enqueue([job("b")]) == [True]
    assert [message.partition(" redis")[0] for message in caplog.messages] == ["lost the connection to", "connected to"]


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
        (b"-NOPERM this user has no permissions to run the 'evalsha' command\r\n", "'evalsha'.*extend the user's ACL"),
        (b"-ERR something else\r\n", "rejects enqueue: something else"),
    ],
)
async def test_permanent_error_is_raised(behind: RedisBroker, proxy: Proxy, reply: bytes, complaint: str) -> None:
    """Errors of configuration and rights name the operation."""
    await behind.enqueue([job("a")])
    proxy.answer(b"EVALSHA", reply)
    with pytest.raises(BrokerConfigError, match=complaint):
        await behind.enqueue([job("b")])


async def test_protocol_error_replaces_connection(behind: RedisBroker, proxy: Proxy) -> None:
    """A connection on which something else than a reply arrives is closed, and the call repeated."""
    await behind.connect()
    proxy.answer(b"TIME", b"HTTP/1.1 400 Bad Request\r\n")
    assert await behind.time() > 0
    assert proxy.connections == 2


async def test_enqueue_with_lost_reply_stores_one_job(behind: RedisBroker, proxy: Proxy) -> None:
    """The repeated call finds the job."""
    await behind.connect()
    proxy.drop_reply_to(b"EVALSHA")
    await behind.enqueue([job("a")])
    assert len(await claim(behind)) == 1


@pytest.mark.parametrize("lost", ["drop_reply_to", "cut_before"])
async def test_claim_with_lost_reply_returns_its_leases(behind: RedisBroker, proxy: Proxy, lost: str) -> None:
    """The repeated claim returns the same leases, whether the first request arrived or not."""
    await behind.enqueue([job(id) for id in "abc"])
    await claim(behind, 1, worker="w2")
    getattr(proxy, lost)(b"EVALSHA")
    assert [lease.job_id for lease in await claim(behind, 1)] == ["b"]
    assert [lease.job_id for lease in await claim(behind)] == ["c"]


@pytest.mark.parametrize("keep", [0.0, 60.0])
async def test_settle_with_lost_reply_returns_done(behind: RedisBroker, proxy: Proxy, keep: float) -> None:
    """The repeated settlement is answered like the first, even if nothing is left of the job."""
    await behind.enqueue([job("a"), job("b")])
    a, b = await claim(behind)
    await behind.settle([Completed(lease=a, retain_for=keep)])
    proxy.drop_reply_to(b"EVALSHA")
    assert await behind.settle([Completed(lease=b, retain_for=keep)]) == [Settled.DONE]


@pytest.mark.parametrize("call", ["cancel_job", "retry_job"])
async def test_cancel_and_retry_with_lost_reply_return_true(behind: RedisBroker, proxy: Proxy, call: str) -> None:
    """The repeated `cancel_job` and `retry_job` are answered like the first."""
    await behind.enqueue([job("a")])
    if call == "retry_job":
        await behind.cancel_job("a", queue="q")
    proxy.drop_reply_to(b"EVALSHA", 1)
    assert await getattr(behind, call)("a", queue="q") is True
    assert await getattr(behind, call)("a", queue="q") is False


async def test_repeated_claim_returns_each_queues_leases(behind: RedisBroker, proxy: Proxy) -> None:
    """The repeated claim takes nothing from a queue that has got jobs since."""
    await behind.enqueue([job("b", queue="two"), job("c", queue="two")])
    asked = request(2, queues=("one", "two"))
    first = await behind.claim(asked)
    await behind.enqueue([job("a", queue="one")])
    assert (await behind.claim(asked)).leases == first.leases
    assert [lease.job_id for lease in first.leases] == ["b", "c"]


async def test_repeated_claim_counts_settled_leases(behind: RedisBroker) -> None:
    """Leases that were settled since leave no room for jobs of another queue."""
    await behind.enqueue([job("a", queue="one"), job("b", queue="one"), job("c", queue="two")])
    asked = request(2, queues=("one", "two"))
    a, b = (await behind.claim(asked)).leases
    await behind.settle([Completed(lease=a)])
    assert (await behind.claim(asked)).leases == [b]


async def test_close_stops_retries(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
) -> None:
    """A call that pauses before its next attempt fails when the broker is closed."""
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


async def test_failed_login_shows_no_password(
    start_server: Callable[..., RedisServer],
    make_broker: Callable[..., RedisBroker],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No error, log or output contains the password, however the connection fails."""
    server = start_server("--requirepass", "right", tcp=True)
    caplog.set_level(logging.DEBUG)

    async def errors(url: str) -> str:
        broker = make_broker(url, timeout=0.2)
        copied, keeper = make_broker(url, timeout=0.2, durability="replica:1"), broker.keeper()
        shown = repr(broker)
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
            shown += f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
        keeper.close()
        return shown

    urls = (
        f"redis://:hunter2@127.0.0.1:{server.port}",
        f"redis://nobody:hunter2@127.0.0.1:{server.port}",
        f"redis://:hunter2@127.0.0.1:{server.port}/99",
        "redis://:hunter2@127.0.0.1:1",
        "unix://:hunter2@/no/such/socket",
        f"rediss://:hunter2@127.0.0.1:{server.port}",
        f"redis+cluster://:hunter2@127.0.0.1:{server.port}",
        f"redis+sentinel://:hunter2@127.0.0.1:{server.port}/main?sentinel_password=hunter2",
    )
    shown = "".join(await asyncio.gather(*map(errors, urls)))
    gc.collect()
    out = capfd.readouterr()
    assert "hunter2" not in shown + caplog.text + out.out + out.err
    assert ":***@" in shown


async def test_transient_error_at_login_is_retried(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """A transient error at the login does not reject the credentials."""
    server = start_server("--requirepass", "right", tcp=True)
    async with Proxy(server.open_url) as proxy:
        broker = make_broker(proxy.url.replace("//", "//:right@"))
        proxy.answer(b"AUTH", b"-BUSY Redis is busy running a script.\r\n")
        assert await broker.time() > 0
        assert proxy.connections == 2
        await broker.close()


async def test_wrong_credentials_raise_config_error(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """A wrong or missing password raises `BrokerConfigError`, and the right one works."""
    server = start_server("--requirepass", "p@ss/word", tcp=True)
    for secret, said in (("", "NOAUTH"), (":wrong@", "WRONGPASS"), ("nobody:p%40ss%2Fword@", "WRONGPASS")):
        for scheme in ("redis", "redis+cluster"):
            broker = make_broker(f"{scheme}://{secret}127.0.0.1:{server.port}")
            for call in (broker.connect, broker.time):
                with pytest.raises(BrokerConfigError, match=f"rejects the login: {said} .*[^.]; check user name, pass"):
                    await call()
    await make_broker(f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}").connect()


class TestSilentServer:
    """The connections stay open and no byte arrives any more, as when a machine is gone."""

    async def test_call_ends_at_timeout(self, proxy: Proxy, make_broker: Callable[..., RedisBroker]) -> None:
        """The deadline of a call holds, whatever the connection does."""
        broker = make_broker(proxy.url, timeout=2)
        await broker.connect()
        proxy.silent = True
        with pytest.raises(BrokerUnavailable, match="no answer within 2 s"):
            await broker.enqueue([job("a")])

    async def test_pipeline_replaces_silent_connection(
        self, impatient: None, behind: RedisBroker, proxy: Proxy
    ) -> None:
        """The connection is given up when a reply is overdue, and the next attempt works."""
        await behind.enqueue([job("a")])
        proxy.silent = True
        call = asyncio.ensure_future(behind.enqueue([job("b")]))
        await proxy.wait_for(b"b\r\n")
        proxy.silent = False
        assert await call == [True]

    async def test_blocking_wait_replaces_silent_connection(
        self, impatient: None, behind: RedisBroker, proxy: Proxy
    ) -> None:
        """A blocking wait is given up when the connection stays silent after its end."""
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

    async def test_subscription_replaces_silent_connection(
        self,
        impatient: None,
        behind: RedisBroker,
        proxy: Proxy,
        raw: Any,
        namespace: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A subscription pings a silent server, and reconnects if it does not answer."""
        monkeypatch.setattr(channels, "SILENCE", 0.1)
        monkeypatch.setattr(channels, "PING_TIMEOUT", 0.1)
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


async def test_subscription_keeps_quiet_connection(
    behind: RedisBroker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection without messages is kept while the server answers each PING."""
    monkeypatch.setattr(channels, "SILENCE", 0.02)
    await behind.enqueue([job("a")])
    wait = asyncio.ensure_future(behind.wait_for_result("a", queue="q", timeout=20))
    async with asyncio.timeout(5):
        while proxy.commands.count(b"PING") < 5:
            await asyncio.sleep(0)
    assert proxy.connections == 2
    wait.cancel()


async def test_readonly_ends_blocking_connection(behind: RedisBroker, proxy: Proxy) -> None:
    """READONLY means that the primary is elsewhere; a wait on this connection would never get a token."""
    assert await work_of(behind, timeout=0.05) == []
    before = proxy.connections
    proxy.answer(b"BLPOP", b"-READONLY You can't write against a read only replica.\r\n")
    assert await work_of(behind, timeout=0.3) == []
    assert proxy.connections == before + 1


async def test_tcp_connection_has_keepalive(
    redis_server: RedisServer, start_server: Callable[..., RedisServer]
) -> None:
    """The system probes idle connections, so that a dead machine is noticed."""
    connection = await connect(Settings.from_url(start_server(tcp=True).url))
    sock = connection._transport.get_extra_info("socket")  # pyright: ignore[reportPrivateUsage]  # no other way to it
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
    await connection.close()


async def test_partial_reply_counts_as_sign_of_life() -> None:
    """Bytes of a reply that is not complete show that the server is alive, though no reply is delivered."""
    connection = Connection()
    replies: list[object] = []
    connection.on_reply = replies.append
    for data in (b"*1\r\n", b"$2\r\no"):
        connection.heard_at = 0.0
        connection.data_received(data)
        assert connection.heard_at > 0.0
        assert replies == []
    connection.data_received(b"k\r\n")
    assert replies == [[b"ok"]]
