"""Takes back the jobs of leases that ran out, and warns when the server's clock is set."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from aioq.errors import BrokerConfigError, PartlyUnavailable
from aioq.model.job import Reaped
from aioq.model.states import JobState
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import Database, in_parts
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention

__all__ = ["ReapRole", "ServerClock"]

STEP: Final = 1.0
"""Seconds by which the server's clock must differ from its expected course to count as set."""

WARN_EVERY: Final = 60.0
"""Seconds after which a step of a clock is logged again: each queue of a server notices the same step."""

logger = logging.getLogger("aioq.redis")


class Reading(NamedTuple):
    """Bounds of the difference between the server's clock and that of the event loop, in seconds."""

    lowest: float
    highest: float


class ServerClock:
    """Compares the clock of a queue's server with this process's monotonic clock, and logs when the server's is set.

    Args:
        name: The server's, for logs.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._readings: dict[str, Reading] = {}
        self._warned_at = -math.inf

    def read(self, queue: str, now: float, *, asked: float, answered: float) -> None:
        """Note what the server's clock showed between two moments of the event loop's clock."""
        reading = Reading(now - answered, now - asked)
        known = self._readings.get(queue, reading)
        self._readings[queue] = reading
        forward, back = reading.lowest - known.highest, known.lowest - reading.highest
        if max(forward, back) > STEP and answered - self._warned_at > WARN_EVERY:
            self._warned_at = answered
            self._warn(forward, back)

    def _warn(self, forward: float, back: float) -> None:
        if forward > 0:
            logger.warning(
                "the clock of %s went forward by %.1f s: delayed jobs are due earlier by that; running jobs keep their "
                "leases if their workers extend them within a lease", self._name, forward,
                extra={"event": "server_clock_forward"},
            )  # fmt: skip
        else:
            logger.warning(
                "the clock of %s was set back by %.1f s: delayed jobs are due later by that; leases from before are "
                "shortened", self._name, back, extra={"event": "server_clock_back"},
            )  # fmt: skip


class ReapRole(BrokerRole):
    """Implements `reap` of `aioq.protocols.Broker`."""

    def __init__(self, database: Database, layout: Layout, retention: Retention) -> None:
        super().__init__(database, layout, retention)
        self._server_clock = ServerClock(database.name)

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Take back leases that ran out; see `aioq.protocols.Broker.reap`."""
        errors: list[BrokerConfigError] = []

        async def reap(queue: str) -> list[Reaped]:
            try:
                return await self._reap(queue, lease, limit)
            except BrokerConfigError as error:  # trouble with one queue must not stop the others
                errors.append(error)
                return []

        # All at once: a worker of many queues on a slow network must give each of them a sign of life in time.
        answers, away = await in_parts({queue: reap(queue) for queue in queues})
        reaped = [job for jobs in answers.values() for job in jobs]
        if errors and not reaped:
            raise errors[0]
        if away:
            raise PartlyUnavailable(away, reaped)
        return reaped

    async def _reap(self, queue: str, lease: float, limit: int) -> list[Reaped]:
        space, loop = self._layout.queue(queue), self._database.session.loop
        args = (limit, space.key("end:"), milliseconds(self._retention.dead_ttl), self._retention.dead_limit)
        asked = loop.time()
        now, *found = await self._database.call("reap", space, (*args, milliseconds(lease)), patient=False)
        self._server_clock.read(queue, now / 1000, asked=asked, answered=loop.time())
        return [_reaped(queue, *found[at : at + 6]) for at in range(0, len(found), 6)]


def _reaped(
    queue: str, job_id: bytes, worker_id: bytes, crashed: int, crashes: int, state: bytes, task: bytes
) -> Reaped:
    return Reaped(
        job_id=job_id.decode("ascii", "backslashreplace"),
        queue=queue,
        worker_id=worker_id.decode("utf-8", "backslashreplace"),
        crashed=crashed == 1,
        crashes=crashes,
        state=JobState(state.decode()),
        task=task.decode("utf-8", "backslashreplace"),
    )
