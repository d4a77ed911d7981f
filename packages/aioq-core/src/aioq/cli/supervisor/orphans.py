"""Collects the exit codes of processes that a container's first process adopts."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

import anyio

__all__ = ["reap_orphans"]

SETTLE_TIME = 1.0
"""Seconds after which an ended process that is none of our children is an orphan, and not a child being started."""


async def reap_orphans(children: Callable[[], set[int]]) -> None:
    """Collect ended orphans until cancelled. Without that they stay as zombies, for a supervisor may be process 1.

    A task may start a process that starts another one. When the former ends, the system gives the latter to process 1.

    Args:
        children: Returns the ids of processes whose exit codes someone else collects.
    """
    with anyio.open_signal_receiver(signal.SIGCHLD) as signals:
        async for _ in signals:
            await anyio.sleep(SETTLE_TIME)
            _reap(children())


def _reap(children: set[int]) -> None:
    while (pid := _ended()) and pid not in children:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _ended() -> int:
    """Return the id of an ended process whose exit code is not collected yet; 0 if there is none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found else 0
