"""A virtual environment for each library: none of them is ever installed beside another, or beside ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "ALL",
    "ARQ",
    "CELERY",
    "CRON_LIBRARIES",
    "PYDOCKET",
    "REPID",
    "RQ",
    "SAQ",
    "STREAQ",
    "TASKIQ",
    "UPSTREAM_AIOQ",
    "Environment",
    "make",
]


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed together.

    Args:
        name: Of the library.
        requirements: Pinned; the first is the library's own release.
    """

    name: str
    requirements: tuple[str, ...]

    @property
    def version(self) -> str:
        """The release that is measured."""
        return self.requirements[0].rpartition("==")[2]

    def programs(self, folder: Path) -> Path:
        """Return where its programs are, Python among them, in a folder that keeps all environments."""
        return folder / self.name / "bin"

    def made(self, folder: Path) -> bool:
        """Return whether it is there with exactly these requirements."""
        done = folder / self.name / "installed"
        return done.exists() and done.read_text() == "\n".join(self.requirements)


FAST = ("hiredis==3.5.0", "uvloop==0.23.0")
"""What makes any of them faster. coredis, which streaq is on, has a parser of its own."""

REPID = Environment("repid", ("repid[redis]==2.1.0", "typing-extensions==4.16.0", *FAST))
TASKIQ = Environment("taskiq", ("taskiq==0.13.0", "taskiq-redis==1.2.4", *FAST))
# It imports what it does not ask for.
SAQ = Environment("saq", ("saq[redis]==0.26.4", "typing-extensions==4.16.0", *FAST))
# redis-py 8 has a limit of 100 connections, and docket needs more.
PYDOCKET = Environment("pydocket", ("pydocket==0.27.0", "redis==7.4.1", *FAST))
ARQ = Environment("arq", ("arq==0.28.0", *FAST))
STREAQ = Environment("streaq", ("streaq==7.2.0", "uvloop==0.23.0"))
UPSTREAM_AIOQ = Environment("aioq-0.4", ("aioq[cron]==0.4.0",))
CELERY = Environment("celery", ("celery[redis]==5.7.0",))
RQ = Environment("rq", ("rq==3.0.0",))
# Together: none of them disturbs another, and each is measured in a process of its own.
CRON_LIBRARIES = Environment(
    "cron-libraries",
    (
        "croniter==7.0.0",
        "cronsim==2.8",
        "crondst==1.0.3",
        "apscheduler==3.11.3",
        "cron-converter==2.0.2",
        "crontab==1.0.5",
    ),
)

ALL = (REPID, TASKIQ, SAQ, PYDOCKET, ARQ, STREAQ, UPSTREAM_AIOQ, CELERY, RQ, CRON_LIBRARIES)


def make(environment: Environment, folder: Path) -> None:
    """Make an environment, unless it is there.

    Raises:
        RuntimeError: It cannot be made; says what the installer said.
    """
    if environment.made(folder):
        return
    home = folder / environment.name
    shutil.rmtree(home, ignore_errors=True)
    python = str(environment.programs(folder) / "python")
    if uv := shutil.which("uv"):
        _run(environment, uv, "venv", "--quiet", "--python", sys.executable, str(home))
        _run(environment, uv, "pip", "install", "--quiet", "--python", python, *environment.requirements)
    else:
        _run(environment, sys.executable, "-m", "venv", str(home))
        _run(environment, python, "-m", "pip", "install", "--quiet", *environment.requirements)
    (home / "installed").write_text("\n".join(environment.requirements))


def _run(environment: Environment, *command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise RuntimeError(f"the environment of {environment.name} cannot be made: {said[-500:]}")
