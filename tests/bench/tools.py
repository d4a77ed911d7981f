"""The schedulers that are measured beside ours: where each is installed, and what to start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.environments import (
    ARQ,
    CELERY,
    PYDOCKET,
    RQ,
    SAQ,
    STREAQ,
    TASKIQ,
    UPSTREAM_AIOQ,
    Environment,
)

__all__ = ["PEERS", "Peer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A third-party scheduler, in an environment of its own."""

    name: str
    environment: Environment
    every: int
    """Seconds between its ticks: 60 where its crons know no seconds."""
    commands: Sequence[Sequence[str]]
    """Its processes: a program of its environment, and arguments; `URL` stands for the server."""


PEERS = (
    Peer(name="saq", environment=SAQ, every=5, commands=[["python", "-m", "with_saq"]]),
    Peer(
        name="arq",
        environment=ARQ,
        every=5,
        commands=[["python", "-m", "with_arq"]],
    ),
    Peer(name="streaq", environment=STREAQ, every=5, commands=[["python", "-m", "with_streaq"]]),
    Peer(
        name="aioq 0.4 (another project)",
        environment=UPSTREAM_AIOQ,
        every=5,
        commands=[["python", "-m", "with_upstream_aioq"]],
    ),
    Peer(
        name="taskiq",
        environment=TASKIQ,
        every=60,
        commands=[
            ["taskiq", "worker", "--workers", "1", "with_taskiq:broker"],
            # Else it fires at the second of the minute at which it was started.
            ["taskiq", "scheduler", "--skip-first-run", "with_taskiq:scheduler"],
        ],
    ),
    Peer(
        name="docket",
        environment=PYDOCKET,
        every=60,
        commands=[["python", "-m", "with_docket"]],
    ),
    Peer(
        name="celery beat",
        environment=CELERY,
        every=60,
        commands=[
            ["celery", "-A", "with_celery", "worker", "--concurrency", "1"],
            ["celery", "-A", "with_celery", "beat"],
        ],
    ),
    Peer(
        name="rq",
        environment=RQ,
        every=60,
        commands=[["rq", "worker", "--url", "URL"], ["rq", "cron", "--url", "URL", "with_rq"]],
    ),
)
