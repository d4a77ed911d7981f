"""Commands that wait are woken by signals, whenever they come."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.cli.broker_access import run_connected


@pytest.mark.skipif(sys.platform == "win32", reason="the event loop of Windows sees to it by itself")
def test_the_loop_of_a_command_is_woken_by_any_signal() -> None:
    """Without that, a Ctrl-C in the moment in which the loop begins to wait is not noticed."""

    async def who_is_woken() -> int:
        descriptor = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(descriptor)
        return descriptor

    assert run_connected(Aarq(MemoryBroker()), who_is_woken) >= 0


def test_a_command_may_be_called_in_a_thread() -> None:
    """Signals reach the main thread only, and nothing is to be arranged for in others."""

    async def work() -> str:
        return "done"

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run_connected, Aarq(MemoryBroker()), work).result() == "done"
