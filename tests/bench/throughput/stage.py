"""Running a contestant's processes, each pinned to a core, and reading the figures that they print."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.throughput.contestants import Contestant
from tests.bench.throughput.store import CORES, Store

__all__ = ["Stage"]

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0
"""Seconds for a worker to get through its jobs."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where one contestant appears."""

    contestant: Contestant
    store: Store
    environments: Path

    def run(self, *words: str, kind: str = "nothing", core: int = 0) -> dict[str, Any]:
        """Run one role to its end and return its figures."""
        return self.figures(self.start(*words, kind=kind, core=core))

    def start(self, *words: str, kind: str = "nothing", core: int = 0) -> subprocess.Popen[str]:
        """Start a role: on the first core, or, beside the server, on the last."""
        module = f"tests.bench.throughput.contenders.with_{self.contestant.name}"
        environment = {
            "PATH": os.environ["PATH"],
            "BENCH_URL": self.store.url,
            "BENCH_KIND": kind,
            "PYTHONPATH": str(ROOT),
        }
        process = subprocess.Popen(
            [str(self.contestant.python(self.environments)), "-m", module, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        if len(CORES) > 1:
            os.sched_setaffinity(process.pid, {CORES[core]})
        return process

    def figures(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for a role to end and return what it printed last."""
        out, err = process.communicate(timeout=PATIENCE * 2)
        if process.returncode:
            raise RuntimeError(f"{self.contestant.name} failed:\n{err[-2000:]}")
        figures: dict[str, Any] = json.loads(out.splitlines()[-1])
        return figures

    def drained(self, kind: str, jobs: int, concurrency: int) -> dict[str, Any]:
        """Run jobs that are in line in a worker, and return its figures."""
        figures = self.run("work", str(jobs), str(concurrency), str(PATIENCE), kind=kind)
        if figures["ran"] < jobs:
            raise RuntimeError(f"{self.contestant.name} ran {figures['ran']} of {jobs} jobs in {PATIENCE:g} s")
        return figures
