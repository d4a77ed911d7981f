"""Decides what to do after a worker process has ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum
from typing import Final

from aioq.cli.exit_codes import Exit
from aioq.retry import backoff_delay

__all__ = ["AS_PLANNED", "STABLE_AFTER", "Decision", "ProcessExit", "decide", "exit_text", "restart_delay"]

STABLE_AFTER: Final = 10.0
"""Seconds of running after which a process counts as started successfully."""

FIRST_DELAY: Final = 0.25
"""Seconds before the restart after one failed start. They double with each further one."""

MAX_DELAY: Final = 30.0
"""Seconds before a restart at most."""

AS_PLANNED: Final = (Exit.OK, Exit.MAX_JOBS)
"""Exit codes of a process in which nothing failed."""

NOT_RESTARTED: Final = (Exit.USAGE, Exit.CONFIG)
"""Exit codes with which the next process would end, too."""


class Decision(Enum):
    """What the supervisor does after a process has ended."""

    DONE = "done"
    """Start no other process in its place."""
    RESTART = "restart"
    """Start another process in its place."""
    GIVE_UP = "give up"
    """Stop all processes, and exit with the code of this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExit:
    """How a process ended."""

    code: int
    """Its exit code; -9 if signal 9 killed it."""
    stopping: bool = False
    """Whether the supervisor had ordered it to stop."""
    burst: bool = False
    """Whether it was to end by itself."""


def decide(ended: ProcessExit) -> Decision:
    """Return what to do after a process has ended."""
    # Whatever its code is: a worker that is aborted may end with any.
    if ended.stopping or (ended.burst and ended.code == Exit.OK):
        return Decision.DONE
    # A burst has waited for the broker already, and must end some time.
    if ended.code in NOT_RESTARTED or (ended.burst and ended.code == Exit.UNAVAILABLE):
        return Decision.GIVE_UP
    return Decision.RESTART


def restart_delay(failures: int) -> float:
    """Return the seconds to wait before a restart, after `failures` failed starts in a row."""
    return backoff_delay(failures, base=FIRST_DELAY, ceiling=MAX_DELAY) if failures else 0.0


def exit_text(code: int) -> str:
    """Return how a process ended, for a log line."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
