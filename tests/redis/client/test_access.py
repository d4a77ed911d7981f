"""Reaching a server: sockets, databases, TLS, and users with few rights."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from aioq.errors import BrokerConfigError, NotReplicated
from aioq.model.cron import TickOutcome
from aioq.model.ids import tick_id
from aioq.model.job import Completed
from aioq.model.workers import WorkerInfo
from aioq_redis import RedisBroker
from aioq_redis.client import connection
from tests.access import REPLICAS, RULES, as_user
from tests.core.rig import lease
from tests.redis.job_helpers import claim, job, lease_of, until, work_of
from tests.redis.proxy import Proxy
from tests.redis.tick_helpers import KEY, bid, entry, record, run_of
from tests.servers import RedisServer


async def test_url_schemes_reach_the_same_server(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], namespace: str
) -> None:
    """TCP, Unix sockets and the scheme valkey lead to the same server."""
    server = start_server(tcp=True)
    await make_broker(server.url).enqueue([job("a")])
    for url in (f"valkey://127.0.0.1:{server.port}", f"unix://{server.socket}"):
        assert await make_broker(as_user(url, namespace)).enqueue([job("a")]) == [False]


async def test_connections_name_their_process(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
) -> None:
    """Each connection has a name with the process id, also one that only listens."""
    server = start_server(tcp=True)
    broker = make_broker(server.url)
    await broker.enqueue([job("a")])
    wait = asyncio.ensure_future(broker.wait_for_result("a", queue="q", timeout=10))
    with server.client() as connection:
        client: Any = connection
        await until(lambda: client.client_list(_type="pubsub"))
        names = [one["name"] for one in client.client_list() if one["user"].startswith("user-of-")]
    wait.cancel()
    assert len(names) > 1
    assert {name.rpartition("-")[2] for name in names} == {str(os.getpid())}
    assert all(name.startswith("aioq-") for name in names)


async def test_database_is_isolated_from_others(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], namespace: str
) -> None:
    """A job of one database is not seen in another; a database that does not exist is a configuration error."""
    server = start_server(tcp=True, rights=("+select",))
    await make_broker(f"{server.url}/3").enqueue([job("a")])
    socket = as_user(f"unix://{server.socket}", namespace)
    assert await claim(make_broker(f"{socket}?db=2")) == []
    assert len(await claim(make_broker(f"{socket}?db=3"))) == 1
    with pytest.raises(BrokerConfigError, match="/99 rejects the login: "):
        await make_broker(f"{server.url}/99").connect()


def _demand_certificates(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Accept clients until the listener is closed, and keep each connection until the client has read the alert."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as tls:
            with contextlib.suppress(ssl.SSLError):
                tls.do_handshake()
            with contextlib.suppress(OSError):
                socket.socket.shutdown(tls, socket.SHUT_WR)
                while socket.socket.recv(tls, 1024):
                    pass


@contextlib.contextmanager
def _demanding(context: ssl.SSLContext) -> Iterator[int]:
    """Yield the port of a server that demands a certificate. It is no server of asyncio: those send no alert."""
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_demand_certificates, args=(listener, context))
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


class TestTls:
    """TLS, through a proxy: not every server of the tests has it built in."""

    @pytest.fixture
    def authority(self) -> trustme.CA:
        """An authority that is not trusted by default."""
        return trustme.CA()

    @pytest.fixture
    def trusted(self, authority: trustme.CA, tmp_path: Path) -> Path:
        """The authority's certificate in a file."""
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        return tmp_path / "ca.pem"

    @pytest.fixture
    async def port(self, authority: trustme.CA, redis_server: RedisServer) -> AsyncIterator[int]:
        """The port of a server with a certificate for `localhost`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate: Any = authority.issue_cert("localhost")
        certificate.configure_cert(context)
        async with Proxy(redis_server.open_url, tls=context) as proxy:
            yield proxy.port

    @pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
    async def test_tls_with_named_authority_connects(
        self, port: int, trusted: Path, redis_url: str, make_broker: Callable[..., RedisBroker], scheme: str
    ) -> None:
        """With the authority named in the URL every operation works."""
        user = redis_url.partition("://")[2].rpartition("@")[0]
        broker = make_broker(f"{scheme}://{user}@localhost:{port}?ssl_ca_certs={trusted}")
        await broker.connect()
        lease = await lease_of(broker)
        keeper = broker.keeper()
        assert await asyncio.to_thread(lambda: keeper.extend([lease], seconds=60)) == []
        keeper.close()
        await broker.settle([Completed(lease=lease)])

    async def test_tls_with_unknown_authority_fails(self, port: int, make_broker: Callable[..., RedisBroker]) -> None:
        """By default only the system's authorities count."""
        with pytest.raises(
            BrokerConfigError, match=r"^TLS with .* failed: .*no authority that the client trusts.*ssl_ca_certs="
        ):
            await make_broker(f"rediss://localhost:{port}").connect()
        keeper = make_broker(f"rediss://localhost:{port}").keeper()
        with pytest.raises(BrokerConfigError, match="^TLS with .* failed"):
            await asyncio.to_thread(lambda: keeper.extend([lease("j")], seconds=60))
        keeper.close()  # it has a thread

    async def test_tls_with_other_host_name_fails(
        self, port: int, trusted: Path, make_broker: Callable[..., RedisBroker]
    ) -> None:
        """The certificate has to be for the host in the URL."""
        with pytest.raises(BrokerConfigError, match=r"is for another host than 127\.0\.0\.1; write the host"):
            await make_broker(f"rediss://127.0.0.1:{port}?ssl_ca_certs={trusted}").connect()

    async def test_tls_without_verification_logs_warning(
        self, port: int, make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
    ) -> None:
        """With ssl_cert_reqs=none the broker connects, and logs what that means."""
        broker = make_broker(f"rediss://localhost:{port}?ssl_cert_reqs=none")
        with caplog.at_level(logging.WARNING, "aioq.redis"):
            await broker.connect()
        assert "another host can pose as the server" in caplog.text

    async def test_tls_with_client_certificate_connects(
        self,
        authority: trustme.CA,
        trusted: Path,
        redis_server: RedisServer,
        redis_url: str,
        make_broker: Callable[..., RedisBroker],
        tmp_path: Path,
    ) -> None:
        """The broker shows its certificate to a server that demands one."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=trusted)
        context.verify_mode = ssl.CERT_REQUIRED
        certificate: Any = authority.issue_cert("localhost")
        certificate.configure_cert(context)
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
        user = redis_url.partition("://")[2].rpartition("@")[0]
        options = f"ssl_ca_certs={trusted}&ssl_certfile={tmp_path / 'own.pem'}"
        async with Proxy(redis_server.open_url, tls=context) as proxy:
            broker = make_broker(f"rediss://{user}@localhost:{proxy.port}?{options}")
            await broker.connect()
            assert await broker.enqueue([job("a")]) == [True]

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize(
        ("shown", "said"),
        [
            ("none", "the server demands a certificate of the client; name it as ssl_certfile="),
            ("foreign", "the server does not trust the authority of the client's certificate"),
            ("expired", "the server rejects the client's certificate; check the dates"),
        ],
    )
    async def test_tls_client_certificate_is_rejected_at_once(
        self,
        authority: trustme.CA,
        trusted: Path,
        make_broker: Callable[..., RedisBroker],
        tmp_path: Path,
        shown: str,
        said: str,
        version: ssl.TLSVersion,
    ) -> None:
        """Each fault of the client's certificate has its own sentence, and the broker does not try again."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=trusted)
        context.maximum_version = version
        certificate: Any = authority.issue_cert("localhost")
        certificate.configure_cert(context)
        issuer = trustme.CA() if shown == "foreign" else authority
        past = datetime(2020, 1, 1, tzinfo=UTC)
        own: Any = issuer.issue_cert("client", not_after=past if shown == "expired" else None)
        own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
        option = "" if shown == "none" else f"&ssl_certfile={tmp_path / 'own.pem'}"
        with _demanding(context) as port:
            broker = make_broker(f"rediss://localhost:{port}?ssl_ca_certs={trusted}{option}", timeout=60)
            async with asyncio.timeout(10):
                with pytest.raises(BrokerConfigError, match=f"^TLS with .* failed: .*{said}"):
                    await broker.connect()

    @pytest.mark.parametrize("secret", ["", "right"])
    async def test_tls_to_plain_server_is_noticed_at_once(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], secret: str
    ) -> None:
        """A server without TLS says nothing to a handshake; the broker asks it in plain text and gives the fix."""
        server = start_server(*(["--requirepass", secret] if secret else []), tcp=True)
        async with asyncio.timeout(10):
            with pytest.raises(BrokerConfigError, match="does not speak TLS on this port; .* write redis://"):
                await make_broker(f"rediss://127.0.0.1:{server.port}", timeout=60).connect()

    async def test_plain_text_to_tls_server_is_noticed_at_once(
        self, port: int, make_broker: Callable[..., RedisBroker]
    ) -> None:
        """A server with TLS ends a connection in plain text; the broker tries a handshake and gives the fix."""
        async with asyncio.timeout(10):
            with pytest.raises(BrokerConfigError, match="speaks TLS on this port; write rediss:// in the URL"):
                await make_broker(f"redis://localhost:{port}", timeout=60).connect()

    async def test_tls_slow_handshake_succeeds(
        self, port: int, trusted: Path, redis_url: str, make_broker: Callable[..., RedisBroker],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """A handshake that is not over when the broker looks for a server without TLS goes on."""
        monkeypatch.setattr(connection, "PATIENCE", 0.0)
        user = redis_url.partition("://")[2].rpartition("@")[0]
        broker = make_broker(f"rediss://{user}@localhost:{port}?ssl_ca_certs={trusted}")
        await broker.connect()
        assert await broker.enqueue([job("a")]) == [True]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ("ssl_ca_certs={garbage}", "ssl_ca_certs names '.*garbage', which cannot be used: it has no certificate"),
            ("ssl_ca_certs={other}", "ssl_ca_certs names '.*other', which cannot be used: it has no certificate"),
            ("ssl_certfile={garbage}", "ssl_certfile names '.*garbage', which cannot be used: a certificate in PEM"),
            ("ssl_certfile={trusted}", "ssl_certfile names '.*ca.pem', which cannot be used: .*its key there or in"),
            ("ssl_certfile={own}&ssl_keyfile={other}", "ssl_keyfile names '.*other', .*its key is not that of '.*own'"),
            ("ssl_certfile={own}&ssl_keyfile={locked}", "ssl_keyfile names '.*locked', .*: it is encrypted"),
        ],
    )
    async def test_tls_file_that_cannot_be_used_raises(
        self, authority: trustme.CA, trusted: Path, make_broker: Callable[..., RedisBroker], tmp_path: Path,
        options: str, said: str,
    ) -> None:  # fmt: skip
        """The error names the option, the file and the fault, before any connection is opened."""
        own, other = authority.issue_cert("client"), authority.issue_cert("other")
        own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own")
        other.private_key_pem.write_to_path(tmp_path / "other")
        (tmp_path / "garbage").write_text("no certificate")
        key: Any = load_pem_private_key(own.private_key_pem.bytes(), None)
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
        (tmp_path / "locked").write_bytes(locked)
        files = {name: tmp_path / name for name in ("own", "other", "garbage", "locked")} | {"trusted": trusted}
        with pytest.raises(BrokerConfigError, match=said):
            await make_broker(f"rediss://localhost:1?{options.format(**files)}").connect()

    @pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that nobody can read from its start")
    async def test_tls_unreadable_authority_raises(self, make_broker: Callable[..., RedisBroker]) -> None:
        """The error has the reason that the system gives."""
        with pytest.raises(BrokerConfigError, match=r"ssl_ca_certs names '/proc/self/mem', which cannot be used: "):
            await make_broker("rediss://localhost:1?ssl_ca_certs=/proc/self/mem").connect()


async def test_connect_to_evicting_server_logs_warning(
    start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], caplog: pytest.LogCaptureFixture
) -> None:
    """A maxmemory-policy other than noeviction can drop jobs; connecting works and logs a warning."""
    server = start_server("--maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING, "aioq.redis"):
        await make_broker(server.open_url).connect()
    assert "maxmemory-policy allkeys-lru and may evict jobs" in caplog.text


async def test_connect_to_old_server_raises(proxy: Proxy, make_broker: Callable[..., RedisBroker]) -> None:
    """The error names the version of the server and the version that is needed."""
    facts = ("server", "redis", "version", "6.0.16", "mode", "standalone", "role", "master")
    reply = f"*{len(facts)}\r\n" + "".join(f"${len(fact)}\r\n{fact}\r\n" for fact in facts)
    for _ in range(2):  # the login of the connection, and the question of `connect`
        proxy.answer(b"HELLO", reply.encode())
    with pytest.raises(BrokerConfigError, match=r"is Redis 6\.0\.16; aioq needs 6\.2 or later"):
        await make_broker(proxy.url).connect()


class TestRestrictedUser:
    """A user with the rights that a queue needs on the keys of one namespace, and no others."""

    @pytest.fixture
    def server(self, start_server: Callable[..., RedisServer]) -> RedisServer:
        """A server with the user `app`, and the user `listener`, which may use channels too."""
        server = start_server(tcp=True)
        with server.client() as connection:
            client: Any = connection
            for user, more in (("app", ""), ("listener", "+@pubsub")):
                rules = f"on >secret ~{{app[:}}]* resetchannels &{{app[:}}]* {RULES} {more}"
                client.execute_command("ACL", "SETUSER", user, *rules.split())
        return server

    async def test_pattern_of_a_namespace_excludes_longer_names(
        self, server: RedisServer, make_broker: Callable[..., RedisBroker]
    ) -> None:
        """The user of `app` can use its own namespace, and neither enqueue nor look up in one that begins alike."""
        url = f"redis://listener:secret@127.0.0.1:{server.port}"
        await make_broker(url, namespace="app").enqueue([job("a")])
        other = make_broker(url, namespace="app-admin")
        with pytest.raises(BrokerConfigError, match="NOPERM"):
            await other.enqueue([job("a")])
        with pytest.raises(BrokerConfigError, match="NOPERM"):
            await other.get_job("a", queue="q")
        with server.client() as connection:
            assert list(connection.scan_iter("{app-admin*")) == []

    @pytest.mark.parametrize("user", ["app", "listener"])
    async def test_minimal_rights_suffice_for_all_operations(
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
        assert await broker.cancel_job("b", queue="q") is True
        assert await broker.retry_job("b", queue="q") is True
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

    @pytest.mark.parametrize(
        ("rules", "rights"),
        [
            ("-eval", r"\+eval"),
            ("-evalsha", r"\+evalsha"),
            ("-time", r"(\+@read \+@write )?\+time"),
            ("-hset -zadd", r"\+hset \+zadd"),
            ("-@write", r"\+del \+pexpire \+set .*\+zrem"),
        ],
    )
    async def test_connect_missing_right_is_named(
        self,
        start_server: Callable[..., RedisServer],
        make_broker: Callable[..., RedisBroker],
        rules: str,
        rights: str,
    ) -> None:
        """`connect` fails in one line that names the rights which the first job would have lacked."""
        server = start_server(rights=tuple(rules.split()))
        with server.client() as connection:
            raw: Any = connection
            if raw.info("server")["redis_version"].startswith("6.") and {"hset", "write"} & {*re.split(r"\W+", rules)}:
                pytest.skip("Redis 6.2 can only tell by a write")
        with pytest.raises(BrokerConfigError, match=rf"extend the user's ACL with {rights}") as raised:
            await make_broker(server.url).connect()
        assert "\n" not in str(raised.value)

    async def test_connect_missing_wait_right_is_named(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
    ) -> None:
        """A broker that waits for replicas needs one right more, which `connect` checks only then."""
        server = start_server(rights=("-wait",))
        await make_broker(server.url).connect()
        with pytest.raises(BrokerConfigError, match=r"does not permit WAIT: .*extend the user's ACL with \+wait"):
            await make_broker(server.url, durability="replica:1").connect()

    @pytest.mark.parametrize("right", REPLICAS)
    async def test_missing_wait_right_is_named(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker], right: str
    ) -> None:
        """The error names the command; with the right to it the same call finds that a replica is missing."""
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

    async def test_missing_select_right_is_named(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
    ) -> None:
        """The error names the command, which Redis 6.2 has in no category; database 0 needs no SELECT."""
        server = start_server(tcp=True, rights=("-select",))
        await make_broker(server.url).connect()
        with pytest.raises(BrokerConfigError, match=r"rejects the login: NOPERM .*select"):
            await make_broker(f"{server.url}/3").connect()

    async def test_other_namespace_is_not_permitted(
        self, server: RedisServer, make_broker: Callable[..., RedisBroker]
    ) -> None:
        """The error names the operation and what to do."""
        broker = make_broker(f"redis://app:secret@127.0.0.1:{server.port}", namespace="other")
        with pytest.raises(BrokerConfigError, match=r"does not permit enqueue: NOPERM .*extend the user's ACL"):
            await broker.enqueue([job("a")])

    async def test_connect_without_script_rights_raises(
        self, server: RedisServer, make_broker: Callable[..., RedisBroker]
    ) -> None:
        """`connect` fails for good if no script may run: the worker exits with 78 instead of retrying for ever."""
        with pytest.raises(BrokerConfigError, match=r"does not permit peek: NOPERM .*extend the user's ACL"):
            await make_broker(f"redis://app:secret@127.0.0.1:{server.port}", namespace="other").connect()
