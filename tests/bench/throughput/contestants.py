"""Who takes part: what to install, and the settings at which each does best."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CONTESTANTS", "OURS", "Contestant"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A library.

    Args:
        name: Of the library; its module is `contenders.with_NAME`.
        requirements: What to install; nothing for ours, which runs from this checkout.
        jobs: So many are drained, for a few seconds of work.
        concurrency: Jobs at the same time at which it drains fastest.
        bulk: Whether it has a call for many jobs.
        results: Whether it stores results.
    """

    name: str
    requirements: tuple[str, ...]
    jobs: int
    concurrency: int = 100
    bulk: bool = False
    results: bool = True

    def python(self, folder: Path) -> Path:
        """Return the interpreter of the library's own environment, which is made unless it is there."""
        if not self.requirements:
            return Path(sys.executable)
        home = folder / f"throughput-{self.name}"
        python, done = home / "bin" / "python", home / "installed"
        wanted = "\n".join(self.requirements)
        if not done.exists() or done.read_text() != wanted:
            shutil.rmtree(home, ignore_errors=True)
            _make(home, python, self.requirements)
            done.write_text(wanted)
        return python


def _make(home: Path, python: Path, requirements: Sequence[str]) -> None:
    if uv := shutil.which("uv"):
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(home))
        _run(uv, "pip", "install", "--quiet", "--python", str(python), *requirements)
    else:
        _run(sys.executable, "-m", "venv", str(home))
        _run(str(python), "-m", "pip", "install", "--quiet", *requirements)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


FAST = ("hiredis==3.5.0", "uvloop==0.23.0")
"""What makes any of them faster. coredis, which streaq is on, has a parser of its own."""

OURS = Contestant("aioq", (), jobs=40_000, bulk=True)

CONTESTANTS = (
    OURS,
    Contestant("repid", ("repid[redis]==2.1.0", "typing_extensions", *FAST), jobs=10_000, results=False),
    Contestant("taskiq", ("taskiq==0.13.0", "taskiq-redis==1.2.4", *FAST), jobs=4_000),
    Contestant("saq", ("saq[redis]==0.26.4", "typing_extensions", *FAST), jobs=3_000),
    # redis-py 8 has a limit of 100 connections, of which docket needs more.
    Contestant("pydocket", ("pydocket==0.27.0", "redis==7.4.1", *FAST), jobs=3_000, concurrency=1000, bulk=True),
    Contestant("arq", ("arq==0.28.0", *FAST), jobs=3_000),
    Contestant("streaq", ("streaq==7.2.0", "uvloop==0.23.0"), jobs=2_000, bulk=True),
)
