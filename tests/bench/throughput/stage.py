"""Running a contestant's processes, each pinned to a core, and reading the figures that they print."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.bench.throughput.contestants import Contestant
from tests.bench.throughput.store import CORES, Store

__all__ = ["HUNG", "Failed", "Stage", "last_error"]

ROOT = Path(__file__).parents[3]
HUNG = "hung"
"""How the reason begins when a contestant did nothing for so long that it was given up."""

GRACE = 10.0
"""Seconds more than a role may take, until its process is ended."""


class Failed(RuntimeError):
    """A contestant did not do what was asked of it; the message says what it did."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running process of a contestant, and what it says beside figures."""

    popen: subprocess.Popen[str]
    said: IO[bytes]

    def line(self, patience: float) -> str:
        """Return the next line that it prints.

        Raises:
            Failed: It ended without one, or none came in time.
        """
        out = self.popen.stdout
        assert out is not None
        if not select.select([out], [], [], patience)[0]:
            raise Failed(f"{HUNG}: nothing for {patience:g} s")
        if line := out.readline():
            return line
        self.popen.wait(GRACE)
        self.said.seek(0)
        text = self.said.read().decode(errors="replace")
        raise Failed(f"ended: {last_error(text) or f'exit {self.popen.returncode}'}")

    def end(self) -> None:
        """Kill it."""
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout, self.said):
            if pipe is not None:
                pipe.close()


def last_error(text: str) -> str:
    """Return the last line of tracebacks that names an error, in groups of them too."""
    named = re.findall(r"^[\s|]*([\w.]+(?:Error|Exception|Exit|Interrupt|Group)\b.*)$", text, re.MULTILINE)
    last: str = (named or text.splitlines() or [""])[-1]
    return last.strip()[:300]


@dataclass(slots=True)
class Stage:
    """Where one contestant appears.

    Args:
        contestant: The library.
        store: The server.
        environments: Where the environments of others are kept.
        patience: Seconds for a worker to get through its jobs, or for a producer to send them.
        folders: Where its processes look for packages before they look at what is installed.
    """

    contestant: Contestant
    store: Store
    environments: Path
    patience: float = 60.0
    folders: Sequence[Path] = ()
    _producer: Process | None = None
    _running: list[Process] = field(default_factory=list)

    def ask(self, role: str, *arguments: object, core: int = 0) -> dict[str, Any]:
        """Have the producer do something, and return its figures."""
        if self._producer is None:
            self._producer = self.start("serve")
        _pin(self._producer, core)
        pipe = self._producer.popen.stdin
        assert pipe is not None
        pipe.write(json.dumps([role, *arguments]) + "\n")
        pipe.flush()
        return self.figures(self._producer)

    def start(self, role: str, *arguments: object, kind: str = "nothing") -> Process:
        """Start a process on the first core."""
        module = f"tests.bench.throughput.contenders.with_{self.contestant.name}"
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process ends
        popen = subprocess.Popen(
            [str(self.contestant.python(self.environments)), "-m", module, role, *map(json.dumps, arguments)],
            stdout=subprocess.PIPE,
            stderr=said,
            stdin=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=self._variables(kind),
        )
        process = Process(popen, said)
        self._running.append(process)
        _pin(process, 0)
        return process

    def figures(self, process: Process, patience: float | None = None) -> dict[str, Any]:
        """Return the figures that a process prints next."""
        figures: dict[str, Any] = json.loads(process.line(patience or self.patience + GRACE))
        return figures

    def drained(self, kind: str, jobs: int, concurrency: int = 0, *, after: int = 0) -> dict[str, Any]:
        """Run jobs that are in line in a worker, and return its figures; its time is from when `after` have ended."""
        most = concurrency or self.contestant.concurrency
        return self.worked(self.start("work", jobs, most, self.patience, after, kind=kind))

    def steadily(self, kind: str, jobs: int) -> dict[str, Any]:
        """Do the same, and leave out what was claimed at first: that had begun before there was a first job."""
        return self.drained(kind, jobs, after=min(self.contestant.concurrency, jobs // 2))

    def worked(self, worker: Process) -> dict[str, Any]:
        """Return the figures of a worker, all of whose jobs must have run."""
        figures = self.figures(worker)
        if figures["ran"] < figures["jobs"]:
            raise Failed(f"{HUNG}: ran {figures['ran']} of {figures['jobs']} jobs in {self.patience:g} s")
        return figures

    def clear(self, *, producer: bool = True) -> None:
        """End all processes, the producer too if need be, and forget what the server holds."""
        for process in [one for one in self._running if producer or one is not self._producer]:
            process.end()
            self._running.remove(process)
        if producer:
            self._producer = None
        self.store.wipe()

    def _variables(self, kind: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "BENCH_URL": self.store.url,
            "BENCH_KIND": kind,
            "PYTHONPATH": os.pathsep.join(map(str, [*self.folders, ROOT])),
            "PYTHONWARNINGS": "ignore",
        }


def _pin(process: Process, core: int) -> None:
    """Let a process run on a core only: on the first, or, beside the server, on the last."""
    if len(CORES) > 1:
        os.sched_setaffinity(process.popen.pid, {CORES[core]})
