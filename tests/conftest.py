"""Fixtures and hooks for all tests."""

from __future__ import annotations

import inspect
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests import servers
from tests.access import as_user, definition
from tests.memory_layout import brokers_made, leaks_in
from tests.redis.layout import assert_consistent, keys_of
from tests.servers import RedisServer

NO_SERVER = "none"
FIGURES = "figures"
"""Name of the figures in the reports of tests, which also come from the processes of pytest-xdist."""


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: Any) -> None:
    """Run every async test with anyio's plugin.

    From 4.11 on, the plugin has `anyio_mode = "auto"` for this; the tests also run on the oldest supported anyio.
    """
    if inspect.iscoroutinefunction(inspect.unwrap(obj)) and collector.istestfunction(obj, name):
        pytest.mark.anyio(obj)


def pytest_configure() -> None:
    """Let Ctrl-C reach this process and its programs: a shell ignores it for programs in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    """Print the servers on which the tests run."""
    if servers.GIVEN_URL:
        return ["servers: AIOQ_TEST_REDIS_URL"]
    return ["servers: " + (", ".join(f"{name} ({path})" for name, path in servers.found().items()) or servers.HOW_TO)]


@pytest.fixture
def show_figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function whose texts are printed at the end of the run, whether the test passes or not."""
    return partial(record_property, FIGURES)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of the tests, and the servers on which no test ran."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for report in reports:
        if figures := [str(value) for name, value in report.user_properties if name == FIGURES]:
            terminalreporter.write_line("\n".join(["", report.nodeid, *figures]))
    if missing := servers.left_out():
        terminalreporter.write_line("servers left out: " + ", ".join(missing))


@pytest.fixture(scope="session", autouse=True)
def _no_forced_colors() -> Iterator[None]:
    """Take away a FORCE_COLOR, which services set for a job: pipes would have colours, in programs of tests, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FORCE_COLOR", raising=False)
        yield


@pytest.fixture(scope="session")
def _servers() -> Iterator[dict[str, RedisServer]]:
    """The shared servers of this process by kind, each started when a test first needs it."""
    running: dict[str, RedisServer] = {}
    yield running
    for server in running.values():
        server.close()


@pytest.fixture(scope="session", params=list(servers.found()) or [NO_SERVER])
def redis_kind(request: pytest.FixtureRequest) -> str:
    """The kind of server of the test; a folder can override it with one kind."""
    kind: str = request.param
    return kind if kind != NO_SERVER else servers.first()


@pytest.fixture(scope="session")
def redis_server(redis_kind: str, _servers: dict[str, RedisServer]) -> RedisServer:
    """A server that the tests of this process share. A test that stops a server uses `start_server`."""
    if redis_kind not in _servers:
        _servers[redis_kind] = RedisServer(servers.found().get(redis_kind))
        _servers[redis_kind].start()
    return _servers[redis_kind]


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
def redis_url(redis_server: RedisServer, namespace: str) -> Iterator[str]:
    """The URL of the shared server, for a user with the rights that a queue needs in the test's namespace."""
    if not redis_server.owned:
        yield redis_server.url
        return
    with redis_server.client() as connection:
        client: Any = connection
        client.execute_command("ACL", "SETUSER", *definition(namespace))
        yield as_user(redis_server.url, namespace)
        client.execute_command("ACL", "DELUSER", definition(namespace)[0])


@pytest.fixture
def tampered() -> list[bool]:
    """A list to which a test that writes foreign data adds an item, so that it is not checked for leaks."""
    return []


@pytest.fixture(autouse=True)
def _restore_log_levels() -> Iterator[None]:
    """After each test, set the levels back that commands set for their process: the other tests would lose lines."""
    loggers = [logging.getLogger(name) for name in ("", "aioq", "aioq.worker")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def _check_memory_brokers(tampered: list[bool]) -> Iterator[None]:
    """After each test, check that its memory brokers have each job in one place and no waiting calls."""
    with brokers_made() as made:
        yield
    leaks = [] if tampered else [leak for broker in made for leak in leaks_in(broker)]
    assert not leaks, "; ".join(leaks)


@pytest.fixture(autouse=True)
def _check_namespace(request: pytest.FixtureRequest, tampered: list[bool]) -> Iterator[None]:
    """After each test on a shared server, check that each id is in one place and that each key expires."""
    if not {"namespace", "redis_server"} <= set(request.fixturenames):
        yield
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    namespace: str = request.getfixturevalue("namespace")
    yield
    with server.client() as client:
        keys = keys_of(client, namespace) if tampered else assert_consistent(client, namespace)
        if keys:
            client.delete(*keys)


@pytest.fixture
def start_server(redis_kind: str, namespace: str, tampered: list[bool]) -> Iterator[Callable[..., RedisServer]]:
    """Return a function that starts a server for this test alone: `start_server("--appendonly", "yes", tcp=True)`.

    The server's `url` is for a user with the rights that a queue needs in the test's namespace, and with `rights`.
    """
    started: list[RedisServer] = []

    def start(*options: str, tcp: bool = False, rights: Sequence[str] = ()) -> RedisServer:
        if servers.GIVEN_URL:
            pytest.skip("this test starts a server of its own, and AIOQ_TEST_REDIS_URL names a given one")
        program = servers.found()[redis_kind]
        started.append(RedisServer(program, options, tcp=tcp, namespace=namespace, rights=rights))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        try:
            # A server with a password has no jobs: its test is about the password.
            if server.running and "--requirepass" not in server.options and not tampered:
                server.resume()
                with server.client() as client:
                    assert_consistent(client, namespace)
        finally:
            server.close()
