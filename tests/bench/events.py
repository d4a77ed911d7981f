"""What an event costs where it is caused, without a listener and with one: `python -m tests.bench.events`."""

from __future__ import annotations

import timeit
from collections.abc import Callable, Mapping

from aioq.clock import SystemClock
from aioq.events import Events, JobEvent, run_fact
from aioq.model.job import Lease
from tests.chaos.report import table

__all__ = ["costs"]

LEASE = Lease(
    job_id="a" * 22, queue="default", epoch=1, worker_id="w", task="app.task", payload=b"", attempt=1, crashes=0,
    priority=5, enqueued_at=0.0,
)  # fmt: skip

ROUNDS = 5


def costs(number: int) -> Mapping[str, float]:
    """Return nanoseconds by what is measured: the fastest of several rounds."""
    silent, heard = Events(), Events()
    silent.add(JobEvent.FAILED, _ignore)  # as in a worker, which logs failures
    heard.add(JobEvent.COMPLETED, _ignore)
    empty = _fastest(_nothing, number)
    measured = {
        "an event without a listener": lambda: _cause(silent),
        "an event with a listener that does nothing": lambda: _cause(heard),
    }
    return {name: max(0.0, _fastest(call, number) - empty) for name, call in measured.items()}


_COMPLETED = JobEvent.COMPLETED
_CLOCK = SystemClock()


def _cause(events: Events) -> None:
    if _COMPLETED in events.listeners:
        events.fire(run_fact(_COMPLETED, LEASE, at=_CLOCK.time(), duration=0.1))


def _nothing() -> None:
    _empty(_CLOCK)


def _empty(_: object) -> None:
    """Cost as much as the call of `_cause` alone."""


def _ignore(_: object) -> None:
    """Do nothing."""


def _fastest(call: Callable[[], object], number: int) -> float:
    return min(timeit.repeat(call, repeat=ROUNDS, number=number)) / number * 1e9


if __name__ == "__main__":
    print(table([{"what": name, "ns": f"{nanoseconds:.0f}"} for name, nanoseconds in costs(1_000_000).items()]))
