# pyright: reportPrivateUsage=false
"""The HTTP server beside a worker: what it answers, and what slow and hostile clients get."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus

import anyio
import pytest

from aioq.cli.health import server
from aioq.cli.health.server import Answer, Request, serving
from aioq.cli.health.sockets import listen
from aioq.errors import BrokerUnavailable
from tests.core.rig import until

Start = Callable[..., AbstractAsyncContextManager[int]]

GET = b"GET /live?since=1 HTTP/1.1\r\nHost: here\r\nAccept: text/html\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    """`aioq worker` runs on asyncio."""
    return "asyncio"


async def echo(request: Request) -> Answer:
    """Answer with what is known of the request."""
    return Answer.of_text(HTTPStatus.OK, f"{request.method} {request.path} {request.accept}")


@asynccontextmanager
async def served(answer: server.Answering = echo) -> AsyncGenerator[int]:
    """Serve on a port of this machine, and yield it."""
    sockets = listen("127.0.0.1", 0)
    async with serving(sockets, answer):
        with anyio.fail_after(30):
            yield sockets[0].getsockname()[1]


async def exchange(port: int, *parts: bytes) -> str:
    """Send parts of a request, and return all that comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return (await reader.read()).decode()
    except ConnectionResetError:
        return ""
    finally:
        writer.transport.abort()


async def test_get_is_answered_and_the_connection_closed() -> None:
    """The answer has its length and type, and is for no cache."""
    async with served() as port:
        head, _, body = (await exchange(port, GET)).partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    assert first == "HTTP/1.1 200 OK"
    assert body == "GET /live text/html\n"
    assert {line for line in headers if not line.startswith("Date: ")} == {
        "Content-Type: text/plain; charset=utf-8",
        "Content-Length: 20",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    }
    assert len(headers) == 6


async def test_head_has_no_body() -> None:
    """HEAD gets the headers of GET."""
    async with served() as port:
        text = await exchange(port, GET.replace(b"GET", b"HEAD"))
    head, _, body = text.partition("\r\n\r\n")
    assert ("Content-Length: 21" in head, body) == (True, "")


async def test_request_may_come_in_pieces() -> None:
    """A request is read until it is complete."""
    async with served() as port:
        text = await exchange(port, *(GET[n : n + 1] for n in range(len(GET))))
    assert text.startswith("HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "PROPFIND"])
async def test_other_methods_are_refused(method: str) -> None:
    """The answer says which are allowed; a body is not read."""
    async with served() as port:
        text = await exchange(port, f"{method} /live HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello".encode())
    assert text.startswith("HTTP/1.1 405 Method Not Allowed\r\n")
    assert "Allow: GET, HEAD\r\n" in text


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\n\n", 400, id="tls"),
        pytest.param(b"hello\r\n\r\n", 400, id="no request"),
        pytest.param(b"GET /live HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET /live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET /\x00live HTTP/1.1\r\nHost: h\r\n\r\n", 400, id="zero byte"),
        pytest.param(b"GET /live HTTP/1.1\r\nHost: h\r\nX: \x00\r\n\r\n", 400, id="zero byte in header"),
        pytest.param(
            b"GET /live HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, id="lengths"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 20_000, 431, id="long header"),
        pytest.param(b"GET /" + b"a" * 20_000, 431, id="long path"),
        pytest.param(b"GET /live HTTP/x\r\nHost: h\r\n\r\n", 400, id="version"),
    ],
)
async def test_hostile_requests_are_refused(request_bytes: bytes, status: int) -> None:
    """What is no request, or too long, gets an error, and the next client is served."""
    async with served() as port:
        text = await exchange(port, request_bytes)
        assert text == "" or text.startswith(
            f"HTTP/1.1 {status} "
        )  # the system may reset a connection with unread data
        assert (await exchange(port, GET)).startswith("HTTP/1.1 200 OK")


async def test_client_that_leaves_is_forgotten() -> None:
    """A client that sends nothing, or half of a request, and leaves, leaves nothing behind."""
    async with served() as port:
        for part in (b"", GET[:20]):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(part)
            writer.close()
            await writer.wait_closed()
        assert (await exchange(port, GET)).startswith("HTTP/1.1 200 OK")


async def test_slow_request_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not finish its request in time is disconnected without an answer."""
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.05)
    async with served() as port:
        assert await exchange(port, GET[:20]) == ""


async def test_slow_reader_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not read its answer in time is disconnected."""
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.05)
    whole = 64_000_000

    async def large(_: Request) -> Answer:
        return Answer(HTTPStatus.OK, bytes(whole))

    async with served(large) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.settimeout(20)
            await anyio.to_thread.run_sync(client.sendall, GET)
            await until(lambda: any("serve" in str(task.name) for task in anyio.get_running_tasks()))
            await until(lambda: not any("serve" in str(task.name) for task in anyio.get_running_tasks()))
            assert await anyio.to_thread.run_sync(read_all, client) < whole


def read_all(client: socket.socket) -> int:
    """Return how many bytes come until the connection ends."""
    count = 0
    try:
        while data := client.recv(1_000_000):
            count += len(data)
    except ConnectionResetError:
        pass
    return count


async def test_many_slow_clients_do_not_keep_a_probe_out() -> None:
    """With too many connections the oldest that has not sent its request makes room."""
    async with served() as port:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(server.MAX_CONNECTIONS + 10)]
        for _, writer in slow:
            writer.write(GET[:20])
        assert (await exchange(port, GET)).startswith("HTTP/1.1 200 OK")
        for reader, _ in slow[:10]:
            assert await left(reader)
        _, writer = slow[-1]
        writer.write(GET[20:])
        assert (await slow[-1][0].read()).startswith(b"HTTP/1.1 200 OK")
        for _, writer in slow:
            writer.transport.abort()


async def left(reader: asyncio.StreamReader) -> bool:
    """Return whether the server has closed a connection without an answer."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_error_of_an_answer_does_not_reach_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next request is answered."""

    async def fail(request: Request) -> Answer:
        if request.accept:
            raise RuntimeError("no answer")
        return Answer(HTTPStatus.OK, b"", content_type="bad\ntype")

    async with served(fail) as port:
        assert await exchange(port, GET) == ""
        assert await exchange(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n") == ""
    events = [(record.levelno, record.event) for record in caplog.records if record.name == "aioq.health"]  # type: ignore[attr-defined]
    assert events == [(logging.ERROR, "health_request_failed")] * 2


async def test_end_does_not_wait_for_clients() -> None:
    """A request that is being answered, and one that is being sent, are cut off at the end."""
    began = anyio.Event()

    async def never(_: Request) -> Answer:
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with served(never) as port:
        first, one = await asyncio.open_connection("127.0.0.1", port)
        second, other = await asyncio.open_connection("127.0.0.1", port)
        one.write(GET)
        other.write(GET[:20])
        await began.wait()
    assert await left(first)
    assert await left(second)
    for writer in (one, other):
        writer.transport.abort()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_error_of_the_block_is_raised_as_it_is() -> None:
    """The exit code of a worker depends on the type of its error, so no group is wrapped around it."""
    with pytest.raises(BrokerUnavailable, match="no server"):
        async with served():
            raise BrokerUnavailable("no server")
