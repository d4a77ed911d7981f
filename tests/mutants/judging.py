"""Runs the shipped suites and machines against mutants, each in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

# Imported once, before the processes are forked: that takes longer than most mutants live.
import hypothesis.stateful  # noqa: F401
import pytest

import aioq.testing.machines  # noqa: F401
from tests.mutants.mutant import PROJECT, Mutant

__all__ = ["Verdict", "judge"]

SUITES = ("tests/test_sqlite_conformance.py", "tests/test_sqlite_machines.py")
"""The suites and machines of aioq.testing, applied to the broker. Its own tests must not be what catches a mutant."""

LIMIT = 300
"""Seconds after which a mutant counts as caught, because it hangs."""

MEMORY = Path("/dev/shm")
"""Where files are not written to a disk, if the system has it: the suites make hundreds of them."""

# With plain assertions nothing has to be compiled anew.
OPTIONS = (
    "-x",
    "-q",
    "--assert=plain",
    "--timeout=60",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "-p",
    "no:xdist",
)


@dataclass(frozen=True)
class Verdict:
    """What the suites made of a mutant.

    Attributes:
        mutant: The variant; None for the broker as it is.
        caught_by: The first test that failed; empty if none did.
        seconds: The time until then.
        output: What pytest printed.
    """

    mutant: Mutant | None
    caught_by: str
    seconds: float
    output: str

    @property
    def is_wrong(self) -> bool:
        """Whether a mutant survived, or the broker as it is was not accepted."""
        return bool(self.caught_by) is (self.mutant is None)


def judge(mutants: Sequence[Mutant | None], *, processes: int, only: str) -> Iterator[Verdict]:
    """Yield a verdict for each mutant, as they come.

    Args:
        mutants: The variants; None stands for the broker as it is.
        processes: How many run at a time.
        only: Which tests to run, as `pytest -k` takes it.
    """
    waiting, running = list(mutants)[::-1], dict[int, tuple[Mutant | None, Path, float]]()
    with TemporaryDirectory(prefix="aioq-mutants-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        while waiting or running:
            while waiting and len(running) < processes:
                mutant = waiting.pop()
                copy = _copy(mutant, Path(folder) / str(len(waiting)))
                running[_start(copy, only)] = (mutant, copy, time.monotonic())
            child, status = os.wait()
            mutant, copy, begin = running.pop(child)
            yield _verdict(mutant, (copy / "output").read_text("utf-8"), status, time.monotonic() - begin)


def _copy(mutant: Mutant | None, folder: Path) -> Path:
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    if mutant:
        mutant.apply(folder / "src" / "aioq_sqlite")
    return folder


def _start(copy: Path, only: str) -> int:
    """Run the suites in a new process, and return its id."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    # The process must not come back from here, whatever happens.
    try:
        # Not by an alarm, which the plugin for the limits of tests sets, too.
        limit = threading.Timer(LIMIT, os.kill, (os.getpid(), signal.SIGKILL))
        limit.daemon = True
        limit.start()
        output = os.open(copy / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(copy)
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(copy / "src"))
        code = pytest.main([*OPTIONS, f"--basetemp={copy / 'tmp'}", "-k", only, *SUITES])
        sys.stdout.flush()
    except BaseException:
        code = 70
    os._exit(code)


def _verdict(mutant: Mutant | None, output: str, status: int, seconds: float) -> Verdict:
    if os.WIFSIGNALED(status):
        return Verdict(mutant, f"the time limit of {LIMIT} s", seconds, output)
    failed = re.search(r"^(?:FAILED|ERROR) \S*?::([\w\[\]-]+)(?: |$)", output, re.MULTILINE)
    # Without a name no test has failed: the suites passed, or could not begin.
    return Verdict(mutant, failed[1] if failed else "", seconds, output)
