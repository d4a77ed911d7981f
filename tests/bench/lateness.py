"""How late crons are: ours beside those of others, on the same machine and in the same run.

Ours, and those of others whose crons know seconds, are measured one after the other, each alone.
Those that know minutes only are measured together, beside our own crons of a minute: they are idle
between two minutes, and all are disturbed alike on the minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.environments import make
from tests.bench.server import new_server
from tests.bench.spread import Spread, spread
from tests.bench.tools import PEERS, Peer

__all__ = ["Lateness", "measure"]

HERE = Path(__file__).parent
WARM_UP = 6.0
"""Seconds from the start of a scheduler to the first tick that counts."""
AFTER = 15.0
"""Seconds after the last minute that counts: the latest known needs thirteen."""

STARTUP = 0.75
"""Seconds more for each process that starts at the same time."""

OURS = ("each", "unique", "schedule")
FLEET = OURS[1:]
SIZES = (5, 20)
"""Workers of the fleets that are measured besides a single worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """How late one scheduler was."""

    tool: str
    version: str
    every: int
    seconds: Spread | None
    """None when it fired nothing."""
    early: int = 0
    """Ticks that were fired before their time."""
    why: str = ""
    """Why there is no figure."""

    def facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    """Processes of one scheduler, and the files that they write."""

    commands: Sequence[Sequence[str]]
    path: str
    files: dict[tuple[str, str, int], str]
    """By name, version and seconds between ticks: what is appended to the name of the file."""


def measure(folder: Path, *, quick: bool) -> list[Lateness]:
    """Return how late each scheduler was; `folder` keeps the environments of the others."""
    failed, others = _installed(folder)
    by_minute = [peer for peer in others if peer.every == 60]
    by_second = [_theirs(peer, folder) for peer in others if peer.every != 60]
    if quick:
        quick_late = _together([_ours("second"), *by_second], 11)
        return [*quick_late, *failed, *[_none(peer, "not in a quick run: it knows minutes only") for peer in by_minute]]
    late: list[Lateness] = []
    for program in [_ours("second"), *map(_fleet, SIZES), *by_second]:
        late += _together([program], 50)
    return [*late, *_together([_ours("minute"), *[_theirs(peer, folder) for peer in by_minute]], minutes=4), *failed]


def _installed(folder: Path) -> tuple[list[Lateness], list[Peer]]:
    """Make the environments; return the failures, and the schedulers that can be measured."""
    failed: list[Lateness] = []
    others: list[Peer] = []
    for peer in PEERS:
        try:
            make(peer.environment, folder)
        except (OSError, RuntimeError) as error:
            failed.append(_none(peer, str(error)))
        else:
            others.append(peer)
    return failed, others


def _none(peer: Peer, why: str) -> Lateness:
    return Lateness(tool=peer.name, version=peer.environment.version, every=peer.every, seconds=None, why=why)


def _ours(*units: str) -> _Program:
    files = {
        (f"aioq, {kind}", version("aioq-core"), 60 if unit == "minute" else 1): f".{kind}-{unit}"
        for unit in units
        for kind in OURS
    }
    command = [sys.executable, "-m", "aioq", "worker", "tests.bench.ours:app", "--log-level", "WARNING"]
    return _Program(commands=[command], path=str(HERE.parents[1]), files=files)


def _fleet(size: int) -> _Program:
    """Return several workers, of which one fires each tick."""
    program = _ours("second")
    files = {
        (f"{tool}, {size} workers", release, every): suffix
        for (tool, release, every), suffix in program.files.items()
        if suffix.removeprefix(".").removesuffix("-second") in FLEET
    }
    return replace(program, commands=[*program.commands] * size, files=files)


def _theirs(peer: Peer, folder: Path) -> _Program:
    programs = peer.environment.programs(folder)
    commands = [[str(programs / command[0]), *command[1:]] for command in peer.commands]
    return _Program(
        commands=commands, path=str(HERE / "peers"), files={(peer.name, peer.environment.version, peer.every): ""}
    )


def _together(programs: Sequence[_Program], seconds: float = 0, *, minutes: int = 0) -> list[Lateness]:
    """Let schedulers run side by side for some time, or for a number of minutes; return how late each was."""
    with ExitStack() as stack:
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aioq-bench-")))
        _avoid_minute(WARM_UP + 10 if minutes else 0)
        outs = [stack.enter_context(_running(program, room / str(number))) for number, program in enumerate(programs)]
        start = time.time() + WARM_UP + STARTUP * (sum(len(program.commands) for program in programs) - 1)
        end = (start // 60 + minutes) * 60 + AFTER if minutes else start + seconds
        time.sleep(end - time.time())
        late: list[Lateness] = []
        for program, out in zip(programs, outs, strict=True):
            late += _read(program, out, start, end)
        return late


def _said(log: Path) -> str:
    """Return what a scheduler said last, for one that fired nothing."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((f"; it said: {line.strip()[:120]}" for line in reversed(lines) if line.strip()), "")


def _avoid_minute(margin: float) -> None:
    """Wait for the next minute to begin, if it begins within some seconds."""
    if (left := 60 - time.time() % 60) < margin:
        time.sleep(left + 1)


@contextmanager
def _running(program: _Program, room: Path) -> Generator[Path]:
    """Run the processes of a scheduler on a server of its own; yield where they write."""
    room.mkdir()
    server = new_server(tcp=True)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        server.start()
        processes += [_start(command, server.url, program.path, room) for command in program.commands]
        yield room / "late"
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _end_of(process)
        server.close()


def _start(command: Sequence[str], url: str, path: str, room: Path) -> subprocess.Popen[bytes]:
    variables = {**os.environ, "PYTHONPATH": path, "BENCH_URL": url, "BENCH_OUT": str(room / "late")}
    variables["PYTHONDONTWRITEBYTECODE"] = "1"
    argv = [url if part == "URL" else part for part in command]
    with (room / "log").open("ab") as log:
        # In a session of its own, so that the processes which it starts can be ended with it.
        return subprocess.Popen(
            argv, cwd=room, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _end_of(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def _read(program: _Program, out: Path, start: float, end: float) -> Iterable[Lateness]:
    for (tool, release, every), suffix in program.files.items():
        path = Path(f"{out}{suffix}")
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        pairs = [(float(tick), float(late)) for tick, late in (line.split() for line in lines)]
        late = [seconds for tick, seconds in pairs if start <= tick <= end - 1]
        yield Lateness(
            tool=tool,
            version=release,
            every=every,
            seconds=spread(late) if late else None,
            early=sum(seconds < 0 for seconds in late),
            why="" if late else "fired nothing" + _said(out.parent / "log"),
        )
