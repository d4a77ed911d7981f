"""Work with an app that is connected, for a command that has no event loop yet."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio

from aioq.app import Aarq
from aioq.errors import BrokerUnavailable

__all__ = ["connected"]

T = TypeVar("T")


def connected(app: Aarq, work: Callable[[], Awaitable[T]], *, patience: float | None = None) -> T:
    """Return what `work` comes to, in an event loop and with the app connected.

    Raises:
        BrokerUnavailable: The broker cannot be reached, or not within `patience` seconds.
    """

    async def run() -> T:
        async with app:
            return await work()

    async def bounded() -> T:
        _notice_signals()
        with anyio.move_on_after(patience or float("inf")):
            return await run()
        raise BrokerUnavailable(f"{app.broker!r} did not answer within {patience:g} s")

    return anyio.run(bounded)


def _notice_signals() -> None:
    """Have signals wake the event loop, also one that comes in the moment in which it begins to wait.

    asyncio arranges for that with the first handler that is added, whatever it is for; without
    one a Ctrl-C in that moment is noticed when something else happens.
    """
    # Windows has no such handlers, and its loop sees to it by itself; threads other than the main one get no signals.
    with suppress(NotImplementedError, AttributeError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, lambda: None)
