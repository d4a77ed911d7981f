"""What a worker costs while nothing is due: its share of a core, and the commands that it sends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import RedisServer, found

__all__ = ["Idle", "measure"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What it cost."""

    crons: int
    core: float
    """Per cent of a core."""
    calls: float
    """Commands a second, without those that scripts run inside the server."""
    seconds: float


def measure(crons: int, warm_up: float, seconds: float) -> Idle:
    """Return what a worker with so many entries costs over a time; half of them fire once for the fleet.

    It gets some seconds before that to start, and to register its entries.
    """
    server = RedisServer(next(iter(found().values())))
    server.start()
    try:
        with _worker(server.url, crons) as pid:
            time.sleep(warm_up)
            before, start = _cpu(pid), time.monotonic()
            calls = _commands(server.socket, seconds)
            passed = time.monotonic() - start
            return Idle(crons=crons, core=100 * (_cpu(pid) - before) / passed, calls=calls / passed, seconds=passed)
    finally:
        server.close()


@contextmanager
def _worker(url: str, crons: int) -> Generator[int]:
    variables = {**os.environ, "BENCH_URL": url, "BENCH_CRONS": str(crons)}
    command = [sys.executable, "-m", "aioq", "worker", "tests.bench.many:app", "--log-level", "ERROR"]
    process = subprocess.Popen(command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _cpu(pid: int) -> float:
    """Return the seconds of processor time that a process has used. Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _commands(path: Path, seconds: float) -> int:
    """Return how many commands clients send to a server within a time: it is asked to name each."""
    told, deadline = b"", time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(str(path))
        monitor.sendall(b"MONITOR\r\n")
        while (left := deadline - time.monotonic()) > 0:
            monitor.settimeout(left)
            try:
                told += monitor.recv(65536)
            except TimeoutError:
                break
    return sum(b" lua] " not in line for line in told.splitlines()[1:])
