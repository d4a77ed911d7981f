"""Keeps account of tasks that go on although they were interrupted: logs them, and counts stuck slots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from aioq.clock import Clock, wait_until
from aioq.model.job import Lease
from aioq.worker.log import extra, job_of, logger, warn_with_stack
from aioq.worker.workload import Slots

__all__ = ["STUCK_AFTER", "Overrun", "Overruns"]

STUCK_AFTER = 5.0
"""Seconds after its interruption after which a task that goes on is logged, and its slot counts as stuck."""

LOG_INTERVAL = 60.0
"""Seconds between two warnings about the same task."""

PRECISION = 0.001
"""Seconds by which a warning may come early: a sleep may end a rounding error before its time."""


@dataclass(slots=True, eq=False, kw_only=True)
class Overrun:
    """A task that goes on although it was interrupted. Its job is settled, and its slot is taken."""

    lease: Lease
    why: str
    """Why it was interrupted."""
    stack: Callable[[], str]
    """Returns where the task is."""
    since: float
    """When it was interrupted; on the worker's clock, like `next_log`."""
    next_log: float
    stuck: bool = False


class Overruns:
    """The overruns of one worker.

    Args:
        max_stuck: The number of stuck slots at which `on_limit` is called.
        on_stuck: Called with each task whose slot becomes stuck.
    """

    def __init__(
        self,
        slots: Slots,
        clock: Clock,
        *,
        max_stuck: int,
        on_limit: Callable[[], None],
        on_stuck: Callable[[Overrun], None],
    ) -> None:
        self._slots = slots
        self._clock = clock
        self._max_stuck = max_stuck
        self._on_limit = on_limit
        self._on_stuck = on_stuck
        self._overruns: list[Overrun] = []
        self._added = anyio.Event()
        self.stuck = 0
        """Slots whose tasks go on `STUCK_AFTER` seconds after they were interrupted."""

    def add(self, lease: Lease, why: str, stack: Callable[[], str], *, elapsed: float) -> Overrun:
        """Add a task that was interrupted `elapsed` seconds ago and goes on in a slot."""
        since = self._clock.monotonic() - elapsed
        overrun = Overrun(lease=lease, why=why, stack=stack, since=since, next_log=since + STUCK_AFTER)
        self._overruns.append(overrun)
        self._added.set()
        return overrun

    def remove(self, overrun: Overrun) -> None:
        """Remove a task that has ended."""
        self._overruns.remove(overrun)
        if overrun.stuck:
            self.stuck -= 1
            self._slots.unawaited -= 1
            seconds = self._clock.monotonic() - overrun.since
            logger.warning(
                "%s has ended, %.0f s after it was interrupted; its slot is free",
                job_of(overrun.lease), seconds, extra=extra("job_overrun_ended", overrun.lease),
            )  # fmt: skip

    async def run(self) -> None:
        """Log tasks as they become stuck, and again every minute, until cancelled."""
        while True:
            self._added = anyio.Event()
            now = self._clock.monotonic()
            for overrun in self._overruns:
                if overrun.next_log <= now + PRECISION:
                    self._report(overrun, now)
            if not self._overruns:
                await self._added.wait()
                continue
            await wait_until(self._added, self._clock, min(one.next_log for one in self._overruns) - now)

    def _report(self, overrun: Overrun, now: float) -> None:
        overrun.next_log = now + LOG_INTERVAL
        became_stuck = not overrun.stuck
        if became_stuck:
            overrun.stuck = True
            self.stuck += 1
            self._slots.give_up_waiting()
        warn_with_stack(
            "job_overruns",
            "%s goes on, %.0f s after it was interrupted because %s: %d of %d slots are stuck; let the task end when "
            "it is cancelled, and give its blocking calls a timeout",
            job_of(overrun.lease), now - overrun.since, overrun.why, self.stuck, self._slots.total,
            stack=f"Stack of the task (most recent call last):\n{overrun.stack()}", lease=overrun.lease,
        )  # fmt: skip
        if became_stuck:
            self._on_stuck(overrun)
            if self.stuck >= self._max_stuck:
                self._on_limit()
