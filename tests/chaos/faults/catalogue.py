"""All faults that jobs are put through, by number and by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.fault_result import FaultResult
from tests.chaos.faults import (
    block_event_loop,
    corrupt_data,
    failover,
    flush_scripts,
    freeze_server,
    full_server,
    hostile_pickle,
    kill_connections,
    kill_worker,
    kill_workers,
    lose_enqueue_reply,
    lose_replies,
    mixed_releases,
    no_fault,
    outages,
    poison_job,
    restart_server,
    slow_network,
    stuck_tasks,
    terminate_worker,
    wrong_clocks,
)

__all__ = ["FAULTS", "Fault"]

Run = Callable[[bool, int, Path], list[FaultResult]]
"""Takes whether to run the full size, a seed, and a folder for logs."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault with the title that its results have, such as `F6 flush_scripts`."""

    title: str
    run: Run

    @property
    def number(self) -> str:
        """Return the number of the fault."""
        return self.title.split()[0]

    @property
    def name(self) -> str:
        """Return the name of the fault."""
        return self.title.split()[1]


FAULTS: Sequence[Fault] = (
    Fault(kill_worker.FAULT, kill_worker.run),
    Fault(kill_worker.EMPTY_QUEUE_FAULT, kill_worker.run_empty_queue),
    Fault(terminate_worker.FAULT, terminate_worker.run),
    Fault(restart_server.FAULT, restart_server.run),
    Fault(freeze_server.FAULT, freeze_server.run),
    Fault(kill_connections.FAULT, kill_connections.run),
    Fault(flush_scripts.FAULT, flush_scripts.run),
    Fault(poison_job.FAULT, poison_job.run),
    Fault(poison_job.BUSY_FAULT, poison_job.run_busy_fleet),
    Fault(block_event_loop.FAULT, block_event_loop.run),
    Fault(corrupt_data.FAULT, corrupt_data.run),
    Fault(hostile_pickle.FAULT, hostile_pickle.run),
    Fault(wrong_clocks.FAULT, wrong_clocks.run),
    Fault(full_server.FAULT, full_server.run),
    Fault(kill_workers.FAULT, kill_workers.run),
    Fault(kill_workers.DEFAULTS_FAULT, kill_workers.run_with_defaults),
    Fault(lose_replies.FAULT, lose_replies.run),
    Fault(lose_enqueue_reply.FAULT, lose_enqueue_reply.run),
    Fault(mixed_releases.FAULT, mixed_releases.run),
    Fault(failover.FAULT, failover.run),
    Fault(slow_network.FAULT, slow_network.run),
    Fault(outages.FAULT, outages.run),
    Fault(no_fault.FAULT, no_fault.run),
    Fault(stuck_tasks.FAULT, stuck_tasks.run),
)
