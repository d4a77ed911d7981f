"""The libraries that are measured, each with its best settings."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench.environments import ARQ, PYDOCKET, REPID, SAQ, STREAQ, TASKIQ, Environment

__all__ = ["CONTESTANTS", "OURS", "Contestant"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A library.

    Args:
        name: Of the library; its module is `contenders.with_NAME`.
        environment: Where it is installed; nothing for ours, which runs from this checkout.
        jobs: The number of jobs to drain, for a few seconds of work.
        settings: Those at which it is measured, in words.
        concurrency: Jobs at the same time at which it drains fastest.
        lacks: What it has not: "bulk" a call for many jobs, "results", "delays", "crons".
    """

    name: str
    environment: Environment | None
    jobs: int
    settings: str
    concurrency: int = 100
    lacks: tuple[str, ...] = ()

    @property
    def release(self) -> str:
        """What is measured."""
        return self.environment.version if self.environment else version("aioq-core")

    def python(self, folder: Path) -> Path:
        """Return the interpreter that it runs in."""
        return self.environment.programs(folder) / "python" if self.environment else Path(sys.executable)


OURS = Contestant("aioq", None, 40_000, "as a worker has them without options, but for the concurrency")

CONTESTANTS = (
    OURS,
    Contestant(
        "repid",
        REPID,
        10_000,
        "batch_size=100; every message is acknowledged",
        lacks=("bulk", "results", "delays", "crons"),
    ),
    Contestant(
        "taskiq",
        TASKIQ,
        4_000,
        "the stream broker, the fastest that loses nothing; reads 100 at once, max_prefetch=100; a result backend only "
        "where results are measured",
        lacks=("bulk", "delays"),
    ),
    Contestant("saq", SAQ, 3_000, "ttl=-1 where no result is wanted", lacks=("bulk",)),
    Contestant(
        "pydocket",
        PYDOCKET,
        6_000,
        "minimum_check_interval and scheduling_resolution of 10 ms instead of 250, message_batch=1000; execution_ttl=0 "
        "where no result is wanted",
        concurrency=1000,
    ),
    Contestant(
        "arq",
        ARQ,
        4_000,
        "poll_delay of 10 ms instead of 500; keep_result=0 where none is wanted",
        concurrency=1000,
        lacks=("bulk",),
    ),
    Contestant(
        "streaq", STREAQ, 2_000, "prefetch=100, with coredis and its own parser; ttl=0 where no result is wanted"
    ),
)
