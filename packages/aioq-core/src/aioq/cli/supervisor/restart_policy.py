"""What becomes of a process that has ended: nothing here starts or stops one."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum

from aioq.cli.exit_codes import Exit
from aioq.retry import backoff_delay

__all__ = ["STEADY", "ProcessExit", "Next", "exit_text", "restart_delay", "verdict"]

STEADY = 10.0
"""Seconds after which a process that ends has not died at once."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
"""Seconds before the start that follows one death at once, or many in a row."""

HOPELESS = (Exit.USAGE, Exit.CONFIG)
"""What another start would end with too."""


class Next(Enum):
    """What the supervisor does."""

    DONE = "done"
    """Leave it at that."""
    AGAIN = "again"
    """Start another process in its place."""
    GIVE_UP = "give up"
    """Stop all of them, and end with its exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExit:
    """The end of a process."""

    code: int
    """Its exit code; -9 when it was killed by signal 9."""
    stopping: bool = False
    """Whether it was told to end."""
    burst: bool = False
    """Whether it is to end by itself."""


def verdict(death: ProcessExit) -> Next:
    """Return what to do after the end of a process."""
    if death.stopping or (death.burst and death.code == Exit.OK):
        return Next.DONE
    return Next.GIVE_UP if death.code in HOPELESS else Next.AGAIN


def restart_delay(deaths: int) -> float:
    """Return the seconds to wait before another start, after so many deaths at once in a row."""
    return backoff_delay(deaths, base=FIRST_PAUSE, ceiling=LONGEST_PAUSE) if deaths else 0.0


def exit_text(code: int) -> str:
    """Return how a process ended, as words for a log line."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
