"""The servers and the proxies that the tests start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis
import redis.asyncio

from tests.redis.proxy import Proxy
from tests.servers import RedisServer
from tests.tls import tls_front

StartServer = Callable[..., RedisServer]


@pytest.fixture
def anyio_backend() -> str:
    """Use asyncio alone, as the client does."""
    return "asyncio"


def keys(server: RedisServer) -> list[bytes]:
    """Return every key on a server."""
    with server.client() as client:
        return list(client.scan_iter())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType]


def test_start_server_gives_an_empty_server(start_server: StartServer, redis_server: RedisServer) -> None:
    """A server of a test shares nothing with the server of the other tests."""
    assert start_server().url != redis_server.url
    assert keys(start_server()) == []


@pytest.mark.parametrize(("options", "left"), [([], []), (["--appendonly", "yes"], [b"key"])])
def test_restart_keeps_data_only_with_appendonly(
    start_server: StartServer, options: list[str], left: list[bytes]
) -> None:
    """A restarted server keeps its address, and keeps its data only if its options say so."""
    server = start_server(*options, tcp=True)
    with server.client() as client:
        client.set("key", "value")
    before = server.url, server.pid
    server.restart()
    assert (server.url, keys(server)) == (before[0], left)
    assert server.pid != before[1]


def test_killed_server_starts_again(start_server: StartServer) -> None:
    """The socket of a killed server is removed, so that the server can be started again."""
    server = start_server()
    server.kill()
    assert not server.socket.exists()
    server.start()
    assert keys(server) == []


def test_paused_server_answers_after_resume(start_server: StartServer) -> None:
    """A client of a paused server gets no answer until the server is resumed."""
    server = start_server()
    with server.client(socket_timeout=1) as client:
        assert client.ping()  # pyright: ignore[reportUnknownMemberType]
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()  # pyright: ignore[reportUnknownMemberType]
        server.resume()
        assert client.ping()  # pyright: ignore[reportUnknownMemberType]


def test_start_server_passes_options(start_server: StartServer) -> None:
    """The server requires the password that its options set."""
    server = start_server("--requirepass", "secret")
    with pytest.raises(redis.AuthenticationError):
        keys(server)
    with server.client(password="secret") as client:
        assert client.ping()  # pyright: ignore[reportUnknownMemberType]


async def test_tls_front_needs_its_authority(start_server: StartServer, tmp_path: Path) -> None:
    """A client that does not know the certificate's authority refuses the connection."""
    async with tls_front(start_server(), tmp_path) as front:
        async with redis.asyncio.Redis.from_url(front.url) as client:  # pyright: ignore[reportUnknownMemberType]
            assert await client.ping()  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues]
        with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            async with redis.asyncio.Redis.from_url(front.url.partition("?")[0], retry=None) as client:  # pyright: ignore[reportUnknownMemberType]
                await client.ping()  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues]


async def test_proxy_keeps_the_database_of_the_url(start_server: StartServer) -> None:
    """The proxy's URL names the same database as the URL of the server."""
    server = start_server(tcp=True)
    async with Proxy(f"{server.open_url}/9") as proxy, redis.asyncio.Redis.from_url(proxy.url) as client:
        await client.set("key", "value")
    with server.client(db=9) as there:
        assert there.get("key") == b"value"
