"""Records the call paths of a checkout, and counts their steps and changes of file.

A step is a call of another function of ours or its resumption. A change of file is a step into another file than that
of the step before.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.architecture.recorder import Recording, Step
from tests.architecture.source import source_folders
from tests.bench.server import new_server

__all__ = ["CRON_LIST", "ENQUEUE", "JOB", "TICK", "Walk", "record", "shortest", "typical", "walk", "walks"]

ROOT = Path(__file__).parents[2]
ENQUEUE = 'await task.enqueue("Ada")'
JOB = "the first job in the worker"
TICK = "one unique tick"
CRON_LIST = "aioq cron list APP"

TIMEOUT = 120.0
"""Seconds for a process that records."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A call path: its steps in order, without calls of a function by itself."""

    name: str
    steps: tuple[Step, ...]

    def row(self) -> dict[str, object]:
        """Return the figures of a table."""
        return {
            "steps": len(self.steps),
            "functions": self.functions,
            "files": self.files,
            "changes of file": self.changes,
            "returns to a file": self.returns,
        }

    @property
    def files(self) -> int:
        """The number of different files."""
        return len({file for file, _ in self.steps})

    @property
    def functions(self) -> int:
        """The number of different functions."""
        return len({*self.steps})

    @property
    def changes(self) -> int:
        """The number of changes of file."""
        return max(0, len([*groupby(file for file, _ in self.steps)]) - 1)

    @property
    def returns(self) -> int:
        """The number of changes to a file that had been left before."""
        return self.changes - max(0, self.files - 1)


def walks(checkout: Path) -> Iterator[Walk]:
    """Record all walks of a checkout, one after the other.

    Raises:
        RuntimeError: A walk could not be recorded, or there is no server.
    """
    yield shortest(ENQUEUE, record("enqueue", checkout))
    yield shortest("await job.result() of an ended job", record("result", checkout))
    first, *later = record("job", checkout)
    yield shortest(JOB, [first])
    yield shortest("a later job in the worker", later)
    ticks = record("tick", checkout)
    yield shortest(TICK, ticks)
    yield typical("the same with every look at the clock", ticks)
    yield shortest(CRON_LIST, record("cron-list", checkout))


def record(name: str, checkout: Path) -> list[Recording]:
    """Record a walk in a process that imports the packages of a checkout, on a server of its own.

    Raises:
        RuntimeError: The process failed or took too long, or there is no server.
    """
    folders = source_folders(checkout)
    path = os.pathsep.join(map(str, [*folders, ROOT]))
    server = new_server()
    server.start()
    try:
        process = subprocess.run(
            [sys.executable, "-m", "tests.architecture.record", name, *map(str, folders)],
            env={**os.environ, "PYTHONPATH": path, "WALK_URL": server.open_url},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"the walk {name} was not recorded within {TIMEOUT:g} s") from error
    finally:
        server.close()
    if process.returncode:
        raise RuntimeError(f"the walk {name} could not be recorded:\n{process.stderr}")
    recordings: list[list[list[list[str]]]] = json.loads(process.stdout)
    return [[[(file, function) for file, function in one] for one in rounds] for rounds in recordings]


def shortest(name: str, recordings: Iterable[Recording]) -> Walk:
    """Return the walk with the fewest steps: the others have steps of duties that happened to be due.

    A round of the event loop that only repeats the round before counts once: over the last millisecond before a tick
    a worker looks at the clock in every round, as often as the machine allows.
    """
    return min((walk(name, [one for one, _ in groupby(rounds)]) for rounds in recordings), key=_length)


def typical(name: str, recordings: Iterable[Recording]) -> Walk:
    """Return the walk with the middle number of steps, all its rounds counted."""
    ordered = sorted((walk(name, rounds) for rounds in recordings), key=_length)
    return ordered[len(ordered) // 2]


def walk(name: str, rounds: Recording) -> Walk:
    """Return a recording as a walk."""
    return Walk(name, tuple(step for step, _ in groupby(step for one in rounds for step in one)))


def _length(walk: Walk) -> int:
    return len(walk.steps)
