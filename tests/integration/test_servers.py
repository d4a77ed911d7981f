"""The servers that the tests start: they come and go as told, and keep to themselves."""

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
    """The client runs on asyncio alone."""
    return "asyncio"


def keys(server: RedisServer) -> list[bytes]:
    """Return every key on a server."""
    with server.client() as client:
        return list(client.scan_iter())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportUnknownVariableType]


def test_a_server_of_its_own_is_empty(start_server: StartServer, redis_server: RedisServer) -> None:
    """It shares nothing with the server of the other tests."""
    assert start_server().url != redis_server.url
    assert keys(start_server()) == []


@pytest.mark.parametrize(("options", "left"), [([], []), (["--appendonly", "yes"], [b"key"])])
def test_a_restart_keeps_what_the_options_say(start_server: StartServer, options: list[str], left: list[bytes]) -> None:
    """By default nothing; the place stays the same."""
    server = start_server(*options, tcp=True)
    with server.client() as client:
        client.set("key", "value")
    before = server.url, server.pid
    server.restart()
    assert (server.url, keys(server)) == (before[0], left)
    assert server.pid != before[1]


def test_a_killed_server_can_be_started_again(start_server: StartServer) -> None:
    """Its socket does not outlive it."""
    server = start_server()
    server.kill()
    assert not server.socket.exists()
    server.start()
    assert keys(server) == []


def test_a_paused_server_hangs_without_hanging_up(start_server: StartServer) -> None:
    """A client gets no answer, until the server goes on."""
    server = start_server()
    with server.client(socket_timeout=1) as client:
        assert client.ping()  # pyright: ignore[reportUnknownMemberType]
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()  # pyright: ignore[reportUnknownMemberType]
        server.resume()
        assert client.ping()  # pyright: ignore[reportUnknownMemberType]


def test_options_reach_the_server(start_server: StartServer) -> None:
    """Here a password, which the server then insists on."""
    server = start_server("--requirepass", "secret")
    with pytest.raises(redis.AuthenticationError):
        keys(server)
    with server.client(password="secret") as client:
        assert client.ping()  # pyright: ignore[reportUnknownMemberType]


async def test_tls_needs_the_authority(start_server: StartServer, tmp_path: Path) -> None:
    """A client that does not know who signed the certificate turns back."""
    async with tls_front(start_server(), tmp_path) as front:
        async with redis.asyncio.Redis.from_url(front.url) as client:  # pyright: ignore[reportUnknownMemberType]
            assert await client.ping()  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues]
        with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            async with redis.asyncio.Redis.from_url(front.url.partition("?")[0], retry=None) as client:  # pyright: ignore[reportUnknownMemberType]
                await client.ping()  # pyright: ignore[reportUnknownMemberType, reportGeneralTypeIssues]


async def test_a_proxy_leads_to_the_same_database(start_server: StartServer) -> None:
    """It is where the tests look for what went through it, also on a server that was given by a URL with one."""
    server = start_server(tcp=True)
    async with Proxy(f"{server.open_url}/9") as proxy, redis.asyncio.Redis.from_url(proxy.url) as client:
        await client.set("key", "value")
    with server.client(db=9) as there:
        assert there.get("key") == b"value"
