"""All faults that jobs are put through, by the names that the bars have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

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
    no_fault,
    poison_job,
    restart_server,
    terminate_worker,
    wrong_clocks,
)
from tests.chaos.verdict import Verdict

__all__ = ["FAULTS", "Fault"]

Fault = Callable[[bool, int, Path], list[Verdict]]
"""Puts a fleet through it: in full size or small, with what is left to chance drawn from a seed, with a folder for logs."""

FAULTS: Mapping[str, Fault] = {
    "F1": kill_worker.run_among,
    "F1b": kill_worker.run_alone,
    "F2": terminate_worker.run,
    "F3": restart_server.run,
    "F4": freeze_server.run,
    "F5": kill_connections.run,
    "F6": flush_scripts.run,
    "F7": poison_job.run,
    "F8": block_event_loop.run,
    "F9": corrupt_data.run,
    "F10": hostile_pickle.run,
    "F11": wrong_clocks.run,
    "F13": full_server.run,
    "F14": kill_workers.run,
    "F15": lose_replies.run,
    "F16": lose_enqueue_reply.run,
    "F18": failover.run,
    "F19": no_fault.run,
}
