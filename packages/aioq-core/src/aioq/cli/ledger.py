"""The app's broker as a ledger of ticks, for a command that needs one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio

from aioq.app import Aarq
from aioq.backends.memory import MemoryBroker
from aioq.cli.exits import CommandError, Exit
from aioq.errors import BrokerUnavailable, MissingFeature
from aioq.protocols import TickLedger

__all__ = ["ask_ledger", "check_jobs_travel", "connected", "ledger_of"]

T = TypeVar("T")


def ledger_of(app: Aarq, command: str) -> TickLedger:
    """Return the ledger of an app.

    Raises:
        CommandError: There is none, or none that can be seen from this process.
    """
    if isinstance(app.broker, MemoryBroker):
        raise CommandError(
            f"{command}: the app is on the embedded memory broker, whose ledger lives in the worker's process and "
            "cannot be reached from here; set AIOQ_BROKER_URL, or write Aarq(broker=...)",
            Exit.CONFIG,
        )
    if not isinstance(app.broker, TickLedger):
        raise CommandError(str(MissingFeature(app.broker, "TickLedger", f"aioq {command}")), Exit.CONFIG)
    return app.broker


def check_jobs_travel(app: Aarq, command: str, schedule: str) -> None:
    """Refuse to enqueue jobs of a schedule where no worker would see them.

    Raises:
        CommandError: The broker is in this process.
    """
    if isinstance(app.broker, MemoryBroker):
        raise CommandError(
            f"{command}: {schedule} is a schedule, and the app is on the embedded memory broker: jobs enqueued from "
            "here reach no worker; set AIOQ_BROKER_URL, or write Aarq(broker=...)",
            Exit.CONFIG,
        )


def ask_ledger(app: Aarq, command: str, question: Callable[[TickLedger], Awaitable[T]]) -> T:
    """Return what a question to the ledger of an app comes to.

    Raises:
        CommandError: As `ledger_of`.
        BrokerUnavailable: The broker cannot be reached.
    """
    ledger = ledger_of(app, command)
    return connected(app, lambda: question(ledger))


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
