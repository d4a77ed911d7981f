"""What every test may ask for."""

from __future__ import annotations

import inspect
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
"""What tests tell goes by this name in their reports, from the processes that share the tests too."""


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: Any) -> None:
    """Run every async test on anyio's plugin.

    The plugin has `anyio_mode = "auto"` for this, from 4.11 on; the tests also run on the oldest anyio supported.
    """
    if inspect.iscoroutinefunction(inspect.unwrap(obj)) and collector.istestfunction(obj, name):
        pytest.mark.anyio(obj)


def pytest_configure() -> None:
    """Listen to Ctrl-C here and in the programs started from here: what a shell runs in the background does not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    """Say which servers the tests run on."""
    if servers.GIVEN_URL:
        return ["servers: AIOQ_TEST_REDIS_URL"]
    return ["servers: " + (", ".join(f"{name} ({path})" for name, path in servers.found().items()) or servers.HOW_TO)]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Have figures shown at the end of the run, whether the test passes or not."""
    return partial(record_property, FIGURES)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests have told, and name the servers that nothing ran on: neither may go unseen."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    for report in reports:
        if told := [str(value) for name, value in report.user_properties if name == FIGURES]:
            terminalreporter.write_line("\n".join(["", report.nodeid, *told]))
    if missing := servers.left_out():
        terminalreporter.write_line("servers left out: " + ", ".join(missing))


@pytest.fixture(scope="session")
def _servers() -> Iterator[dict[str, RedisServer]]:
    """The shared servers of this process, by kind; started when first asked for."""
    running: dict[str, RedisServer] = {}
    yield running
    for server in running.values():
        server.close()


@pytest.fixture(scope="session", params=list(servers.found()) or [NO_SERVER])
def redis_kind(request: pytest.FixtureRequest) -> str:
    """The kind of server that the test runs on; override it to pin one."""
    kind: str = request.param
    return kind if kind != NO_SERVER else servers.first()


@pytest.fixture(scope="session")
def redis_server(redis_kind: str, _servers: dict[str, RedisServer]) -> RedisServer:
    """A server that this process's tests share. Do not stop it: `start_server` gives one to break."""
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
    """Where the shared server is, for a user who may do what a queue needs in the test's namespace, and no more."""
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
    """A test that writes foreign data into its namespace adds something, and is spared the search for leaks."""
    return []


@pytest.fixture(autouse=True)
def _nothing_leaks_in_memory(tampered: list[bool]) -> Iterator[None]:
    """After each test, on every memory broker that it made: every job is in its one place, and nobody waits any more."""
    with brokers_made() as made:
        yield
    leaks = [] if tampered else [leak for broker in made for leak in leaks_in(broker)]
    assert not leaks, "; ".join(leaks)


@pytest.fixture(autouse=True)
def _nothing_leaks(request: pytest.FixtureRequest, tampered: list[bool]) -> Iterator[None]:
    """After each test on a shared server: every id is in its one place, and no key can stay for ever."""
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
    """Start a server for one test alone, which may stop it: `start_server("--appendonly", "yes", tcp=True)`.

    Its `url` is for a user who may do what a queue needs in the test's namespace, and what is in `rights`.
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
            # Where a password is asked for, nothing but passwords is tested.
            if server.running and "--requirepass" not in server.options and not tampered:
                server.resume()
                with server.client() as client:
                    assert_consistent(client, namespace)
        finally:
            server.close()
