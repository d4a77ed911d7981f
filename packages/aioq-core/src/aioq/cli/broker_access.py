"""The app's broker as what a command needs of it, if it can be reached from the command's process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio

from aioq.app import Aarq
from aioq.backends.memory import MemoryBroker
from aioq.cli.exit_codes import CommandError, Exit
from aioq.errors import BrokerUnavailable, MissingFeature
from aioq.protocols import Broker, Diagnosable, JobStore, TickLedger

__all__ = [
    "ask_ledger",
    "check_workers_see_jobs",
    "run_connected",
    "diagnosable_of",
    "is_embedded",
    "ledger_of",
    "store_of",
]

T = TypeVar("T")


def is_embedded(broker: Broker) -> bool:
    """Say whether all that a broker knows lives and ends with the process that uses it."""
    return isinstance(broker, MemoryBroker)


def ledger_of(app: Aarq, command: str) -> TickLedger:
    """Return the broker of an app as the ledger of its ticks.

    Raises:
        CommandError: It keeps none, or cannot be reached from this process.
    """
    broker = _reached(app, command)
    if not isinstance(broker, TickLedger):
        raise _lacks(broker, "TickLedger", command)
    return broker


def store_of(app: Aarq, command: str) -> JobStore:
    """Return the broker of an app as the store of its jobs.

    Raises:
        CommandError: It shows none, or cannot be reached from this process.
    """
    broker = _reached(app, command)
    if not isinstance(broker, JobStore):
        raise _lacks(broker, "JobStore", command)
    return broker


def diagnosable_of(app: Aarq, command: str) -> Diagnosable:
    """Return the broker of an app as one that finds out what is wrong with it.

    Raises:
        CommandError: It does not, or cannot be reached from this process.
    """
    broker = _reached(app, command)
    if not isinstance(broker, Diagnosable):
        raise _lacks(broker, "Diagnosable", command)
    return broker


def check_workers_see_jobs(app: Aarq, command: str, schedule: str) -> None:
    """Refuse to enqueue jobs of a schedule where no worker would see them.

    Raises:
        CommandError: The broker is in this process.
    """
    if is_embedded(app.broker):
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
    return run_connected(app, lambda: question(ledger))


def _reached(app: Aarq, command: str) -> Broker:
    if is_embedded(app.broker):
        raise CommandError(
            f"{command}: the embedded memory broker lives in the process that uses it, and cannot be reached from "
            "here; use another broker: set AIOQ_BROKER_URL, or write Aarq(broker=...)",
            Exit.CONFIG,
        )
    return app.broker


def _lacks(broker: Broker, feature: str, command: str) -> CommandError:
    return CommandError(str(MissingFeature(broker, feature, f"aioq {command}")), Exit.CONFIG)


def run_connected(app: Aarq, work: Callable[[], Awaitable[T]], *, patience: float | None = None) -> T:
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
