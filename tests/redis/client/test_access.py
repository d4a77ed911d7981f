"""How a server is reached, and with which rights: sockets, databases, TLS, restricted users."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from aioq.errors import BrokerConfigError, NotReplicated
from aioq.model.cron import TickOutcome
from aioq.model.ids import tick_id
from aioq.model.job import Completed, WorkerInfo
from aioq_redis import RedisBroker
from tests.access import REPLICAS, RULES, as_user
from tests.core.rig import lease
from tests.redis.job_helpers import claim, job, lease_of, until, work_of
from tests.redis.proxy import Proxy
from tests.redis.tick_helpers import KEY, bid, entry, record, run_of
from tests.servers import RedisServer


async def test_tcp_and_socket_lead_to_one_server(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], namespace: str
) -> None:
    """All schemes without TLS speak the same."""
    server = start_server(tcp=True)
    await make_broker(server.url).enqueue([job("a")])
    for url in (f"valkey://127.0.0.1:{server.port}", f"unix://{server.socket}"):
        assert await make_broker(as_user(url, namespace)).enqueue([job("a")]) == [False]


async def test_databases_are_apart(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], namespace: str
) -> None:
    """A job of one database is not seen in another; a database that does not exist is a mistake."""
    server = start_server(tcp=True, rights=("+select",))
    await make_broker(f"{server.url}/3").enqueue([job("a")])
    socket = as_user(f"unix://{server.socket}", namespace)
    assert await claim(make_broker(f"{socket}?db=2")) == []
    assert len(await claim(make_broker(f"{socket}?db=3"))) == 1
    with pytest.raises(BrokerConfigError, match="/99 does not let us in: "):
        await make_broker(f"{server.url}/99").connect()


class TestTls:
    """Through a proxy that speaks TLS, for not every server that the tests run on can."""

    @pytest.fixture
    def authority(self) -> trustme.CA:
        """An authority that nobody trusts by default."""
        return trustme.CA()

    @pytest.fixture
    def trusted(self, authority: trustme.CA, tmp_path: Path) -> Path:
        """The authority's certificate in a file."""
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        return tmp_path / "ca.pem"

    @pytest.fixture
    async def port(self, authority: trustme.CA, redis_server: RedisServer) -> AsyncIterator[int]:
        """Where a server is that proves to be `localhost`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate: Any = authority.issue_cert("localhost")
        certificate.configure_cert(context)
        async with Proxy(redis_server.open_url, tls=context) as proxy:
            yield proxy.port

    @pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
    async def test_a_server_that_proves_who_it_is_is_trusted(
        self, port: int, trusted: Path, redis_url: str, make_broker: Callable[..., RedisBroker], scheme: str
    ) -> None:
        """With the authority named in the URL everything works."""
        user = redis_url.partition("://")[2].rpartition("@")[0]
        broker = make_broker(f"{scheme}://{user}@localhost:{port}?ssl_ca_certs={trusted}")
        await broker.connect()
        lease = await lease_of(broker)
        keeper = broker.keeper()
        assert await asyncio.to_thread(lambda: keeper.extend([lease], seconds=60)) == []
        keeper.close()
        await broker.settle([Completed(lease=lease)])

    async def test_an_unknown_authority_is_refused(self, port: int, make_broker: Callable[..., RedisBroker]) -> None:
        """By default only the system's authorities count."""
        with pytest.raises(BrokerConfigError, match=r"did not prove who it is.*ssl_ca_certs="):
            await make_broker(f"rediss://localhost:{port}").connect()
        keeper = make_broker(f"rediss://localhost:{port}").keeper()
        with pytest.raises(BrokerConfigError, match="did not prove who it is"):
            await asyncio.to_thread(lambda: keeper.extend([lease("j")], seconds=60))

    async def test_another_host_name_is_refused(
        self, port: int, trusted: Path, make_broker: Callable[..., RedisBroker]
    ) -> None:
        """A certificate for another name proves nothing."""
        with pytest.raises(BrokerConfigError, match="did not prove who it is"):
            await make_broker(f"rediss://127.0.0.1:{port}?ssl_ca_certs={trusted}").connect()

    async def test_checking_nothing_is_warned_of(
        self, port: int, make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
    ) -> None:
        """ssl_cert_reqs=none connects, and says what that means."""
        broker = make_broker(f"rediss://localhost:{port}?ssl_cert_reqs=none")
        with caplog.at_level(logging.WARNING, "aioq.redis"):
            await broker.connect()
        assert "another host can pose as the server" in caplog.text


async def test_a_server_that_may_evict_is_warned_of(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
) -> None:
    """A maxmemory-policy other than noeviction throws jobs away; connecting says so, and works."""
    server = start_server("--maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING, "aioq.redis"):
        await make_broker(server.open_url).connect()
    assert "maxmemory-policy allkeys-lru and may evict jobs" in caplog.text


async def test_a_server_that_is_too_old_is_refused(proxy: Proxy, make_broker: Callable[..., RedisBroker]) -> None:
    """The error says what it is and what is needed."""
    facts = ("server", "redis", "version", "6.0.16", "mode", "standalone", "role", "master")
    reply = f"*{len(facts)}\r\n" + "".join(f"${len(fact)}\r\n{fact}\r\n" for fact in facts)
    for _ in range(2):  # the login of the connection, and the question of `connect`
        proxy.answer(b"HELLO", reply.encode())
    with pytest.raises(BrokerConfigError, match=r"is Redis 6\.0\.16; aioq needs 6\.2 or later"):
        await make_broker(proxy.url).connect()


class TestRestrictedUser:
    """A user who may do what a queue needs, with the keys of one namespace, and no more."""

    @pytest.fixture
    def server(self, start_server: Callable[..., RedisServer]) -> RedisServer:
        """A server with the users `app`, and `listener` who may use channels too."""
        server = start_server(tcp=True)
        with server.client() as connection:
            client: Any = connection
            for user, more in (("app", ""), ("listener", "+@pubsub")):
                rules = f"on >secret ~{{app:* ~{{app}}* resetchannels &{{app:* &{{app}}* {RULES} {more}"
                client.execute_command("ACL", "SETUSER", user, *rules.split())
        return server

    @pytest.mark.parametrize("user", ["app", "listener"])
    async def test_everything_works(
        self,
        server: RedisServer,
        make_broker: Callable[..., RedisBroker],
        user: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Jobs, results, workers, ticks and cancellation need no other rights; without channels results are polled."""
        broker = make_broker(f"redis://{user}:secret@127.0.0.1:{server.port}", namespace="app")
        await broker.connect()
        await broker.enqueue([job(id) for id in "ab"] + [job("c", delay=60.0)])
        a, b = await claim(broker)
        assert await broker.extend([a, b], seconds=60) == []
        wait = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=10))
        with server.client() as connection:
            client: Any = connection
            await until(lambda: client.exists("{app:q}:waits"))
        await broker.settle([Completed(lease=a, result=b"1", retain_for=60)])
        async with asyncio.timeout(3):
            assert await wait is True
        assert await broker.cancel_job("b") is True
        assert await broker.retry_job("b") is True
        assert await broker.reap(["q"]) == []
        assert await work_of(broker, timeout=5) == ["b"]
        work = asyncio.ensure_future(work_of(broker, timeout=10))
        with server.client() as connection:
            raw: Any = connection
            await until(lambda: raw.info("clients")["blocked_clients"])
        await broker.enqueue([job("d")])
        assert await work == ["d"]
        await broker.heartbeat(
            WorkerInfo(id="w", queues=("q",), concurrency=1, running=0, hostname="h", pid=1, started_at=0.0), ttl=60
        )
        assert len(await broker.list_workers()) == 1
        await broker.register_crons("app", "1", [entry()], ttl=60)
        assert (await broker.renew_registration("app", "1", ttl=60)).version == "1"
        tick = await broker.time() + 0.5
        assert (await broker.claim_tick(bid(tick, job=job("t")))).outcome is TickOutcome.WON
        assert await broker.extend_runs([run_of(tick)], seconds=60) == []
        await broker.record_ticks([record(tick, job_id=tick_id("report", tick))])
        assert await broker.pause_cron(KEY, note="", by="me") is True
        assert await broker.resume_cron(KEY) is True
        assert len(await broker.cron_statuses()) == len(await broker.tick_history(KEY)) == 1
        assert await broker.cron_status(KEY) is not None
        assert ("does not permit SUBSCRIBE" in caplog.text) == (user == "app")

    @pytest.mark.parametrize("right", REPLICAS)
    async def test_who_may_not_wait_for_replicas_is_told_so(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], right: str
    ) -> None:
        """The error names the command; with the right to it the same call finds what is missing, a replica."""
        for rights, error, said in (
            (
                (right.replace("+", "-"),),
                BrokerConfigError,
                r"does not permit enqueue: NOPERM .*wait.*extend the user's ACL",
            ),
            ((right,), NotReplicated, "0 of 1 replicas"),
        ):
            broker = make_broker(start_server(rights=rights).url, durability="replica:1", timeout=1.0)
            with pytest.raises(error, match=said):
                await broker.enqueue([job("a")])

    async def test_who_may_not_choose_a_database_is_told_so(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
    ) -> None:
        """The error names the command that Redis 6.2 has in no group; the first database needs no choice."""
        server = start_server(tcp=True, rights=("-select",))
        await make_broker(server.url).connect()
        with pytest.raises(BrokerConfigError, match=r"does not let us in: NOPERM .*select"):
            await make_broker(f"{server.url}/3").connect()

    async def test_another_namespace_is_out_of_reach(
        self, server: RedisServer, make_broker: Callable[..., RedisBroker]
    ) -> None:
        """The error names the command and what to do."""
        broker = make_broker(f"redis://app:secret@127.0.0.1:{server.port}", namespace="other")
        with pytest.raises(BrokerConfigError, match=r"does not permit enqueue: NOPERM .*extend the user's ACL"):
            await broker.enqueue([job("a")])

    async def test_who_may_do_nothing_hears_it_at_the_start(
        self, server: RedisServer, make_broker: Callable[..., RedisBroker]
    ) -> None:
        """Connecting fails for good where no script may run: a worker then ends with 78 instead of waiting for ever."""
        with pytest.raises(BrokerConfigError, match=r"does not permit peek: NOPERM .*extend the user's ACL"):
            await make_broker(f"redis://app:secret@127.0.0.1:{server.port}", namespace="other").connect()
