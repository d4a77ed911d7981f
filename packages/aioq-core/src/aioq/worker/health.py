"""Says whether a worker is live and ready, from what its parts know: it asks the broker nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

from aioq.worker.claimer import Claimer
from aioq.worker.heartbeat import Heartbeat
from aioq.worker.overruns import Overruns
from aioq.worker.runtime import Runtime

__all__ = ["HealthCheck", "Phase", "WorkerHealth"]


class Phase(StrEnum):
    """How far a worker has come in its life."""

    STARTING = "starting"
    """It connects to the broker, or the lifespan of the app has not begun yet."""
    RUNNING = "running"
    DRAINING = "draining"
    """It was stopped and claims no more. Running jobs may end, within the grace."""
    STOPPED = "stopped"


class WorkerHealth(Struct, frozen=True, kw_only=True):
    """What `Worker.health` returns."""

    worker_id: str
    pid: int
    phase: Phase
    queues: tuple[str, ...]
    running: int
    """Jobs that it runs."""
    slots: int
    """Jobs that it may run at the same time."""
    stuck: int = 0
    """Slots whose tasks go on although they were interrupted at least 5 seconds ago."""
    not_live: tuple[str, ...] = ()
    """Why the process should be replaced, in one sentence each; empty if it is live."""
    not_ready: tuple[str, ...] = ()
    """Why it claims no jobs at the moment, in one sentence each; empty if it is ready."""
    outage_since: datetime | None = None
    """When the outage of the broker began that goes on, on the worker's clock."""
    queues_away: tuple[str, ...] = ()
    """Queues that cannot be reached while others can."""


class HealthCheck:
    """Looks at the parts of a worker.

    Args:
        max_stuck: The number of stuck slots with which a worker is no longer live.

    Attributes:
        phase: What the worker sets. It is draining from the moment at which its stop is requested.
    """

    def __init__(
        self, runtime: Runtime, *, claimer: Claimer, heartbeat: Heartbeat, overruns: Overruns, max_stuck: int
    ) -> None:
        self._app = runtime.app
        self._worker_id = runtime.worker_id
        self._queues = runtime.queues
        self._slots = runtime.slots
        self._retry = runtime.retry
        self._shutdown = runtime.shutdown
        self._clock = runtime.clock
        self._claimer = claimer
        self._heartbeat = heartbeat
        self._overruns = overruns
        self._max_stuck = max_stuck
        self.phase = Phase.STARTING

    def look(self) -> WorkerHealth:
        """Return the health of the worker at this moment."""
        trouble = self._retry.trouble()
        away_for = trouble.seconds if trouble and trouble.away else None
        return WorkerHealth(
            worker_id=self._worker_id,
            pid=os.getpid(),
            phase=self._phase,
            queues=self._queues,
            running=self._slots.taken,
            slots=self._slots.total,
            stuck=self._overruns.stuck,
            not_live=tuple(self._not_live()),
            not_ready=tuple(self._not_ready()),
            outage_since=None if away_for is None else datetime.fromtimestamp(self._clock.time() - away_for, UTC),
            queues_away=tuple(self._retry.queues_away),
        )

    @property
    def _phase(self) -> Phase:
        if self._shutdown.requested and self.phase is not Phase.STOPPED:
            return Phase.DRAINING
        return self.phase

    def _not_live(self) -> Iterator[str]:
        if self._overruns.stuck >= self._max_stuck:
            yield (
                f"{self._overruns.stuck} of {self._slots.total} slots are stuck: their tasks go on although they were "
                "interrupted; see the log for their stacks"
            )

    def _not_ready(self) -> Iterator[str]:
        match self._phase:
            case Phase.STARTING if not self._app.connected:
                yield "it is starting, and not connected to the broker yet"
            case Phase.STARTING:
                yield "it is starting: the lifespan of the app has not begun yet"
            case Phase.DRAINING:
                yield f"it is stopping, and claims no more: {self._slots.taken} jobs are running"
            case Phase.STOPPED:
                yield "it has stopped"
            case Phase.RUNNING:
                yield from self._hindrances()

    def _hindrances(self) -> Iterator[str]:
        """Yield why a worker that runs claims nothing."""
        if trouble := self._retry.trouble():
            what = "does not answer" if trouble.away else "rejects calls"
            yield f"the broker {what}, for {trouble.seconds:.0f} s by now: {trouble.reason}"
        elif not self._claimer.answered:
            yield "it is starting, and the broker has not answered a claim yet"
        elif not self._heartbeat.registered:
            yield "it is starting, and not in the broker's list of workers yet"
        elif self._claimer.left == 0:
            yield f"it has claimed as many jobs as max_jobs allows: {self._slots.taken} jobs are running"
