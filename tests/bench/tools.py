"""The schedulers that are measured: what to install, and what to start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["PEERS", "Peer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A scheduler of somebody else, in an environment of its own."""

    name: str
    requirements: Sequence[str]
    """Pinned; the first is its own release."""
    every: int
    """Seconds between its ticks: 60 where its crons know no seconds."""
    commands: Sequence[Sequence[str]]
    """Its processes: a program of its environment, and arguments; `URL` stands for the server."""

    @property
    def version(self) -> str:
        """The release that is measured."""
        return self.requirements[0].rpartition("==")[2]


PEERS = (
    Peer(
        name="saq",
        requirements=["saq[redis]==0.26.4", "typing-extensions==4.16.0"],  # it imports what it does not ask for
        every=5,
        commands=[["python", "-m", "with_saq"]],
    ),
    Peer(name="arq", requirements=["arq==0.28.0"], every=5, commands=[["python", "-m", "with_arq"]]),
    Peer(name="streaq", requirements=["streaq==7.2.0"], every=5, commands=[["python", "-m", "with_streaq"]]),
    Peer(
        name="aioq 0.4 (another project)",
        requirements=["aioq[cron]==0.4.0"],
        every=5,
        commands=[["python", "-m", "with_upstream_aioq"]],
    ),
    Peer(
        name="taskiq",
        requirements=["taskiq==0.13.0", "taskiq-redis==1.2.4"],
        every=60,
        commands=[
            ["taskiq", "worker", "--workers", "1", "with_taskiq:broker"],
            ["taskiq", "scheduler", "with_taskiq:scheduler"],
        ],
    ),
    Peer(name="docket", requirements=["pydocket==0.27.0"], every=60, commands=[["python", "-m", "with_docket"]]),
    Peer(
        name="celery beat",
        requirements=["celery[redis]==5.7.0"],
        every=60,
        commands=[
            ["celery", "-A", "with_celery", "worker", "--concurrency", "1"],
            ["celery", "-A", "with_celery", "beat"],
        ],
    ),
    Peer(
        name="rq",
        requirements=["rq==3.0.0"],
        every=60,
        commands=[["rq", "worker", "--url", "URL"], ["rq", "cron", "--url", "URL", "with_rq"]],
    ),
)
