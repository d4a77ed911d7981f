"""Connects commands to an app's broker, and checks that the broker can do what a command needs."""

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
from aioq.protocols import Broker, Diagnosable, JobStore, TickLedger, WorkerRegistry

__all__ = [
    "ask_ledger",
    "check_workers_see_jobs",
    "diagnosable_of",
    "is_embedded",
    "ledger_of",
    "registry_of",
    "run_connected",
    "store_of",
]

T = TypeVar("T")


def is_embedded(broker: Broker) -> bool:
    """Return whether a broker's data is in the memory of this process, where workers cannot see it."""
    return isinstance(broker, MemoryBroker)


def ledger_of(app: Aarq, command: str) -> TickLedger:
    """Return the broker of an app as a ledger of ticks.

    Raises:
        CommandError: The broker has no ledger, or is embedded.
    """
    broker = _shared_broker(app, command)
    if not isinstance(broker, TickLedger):
        raise _missing(broker, "TickLedger", command)
    return broker


def store_of(app: Aarq, command: str) -> JobStore:
    """Return the broker of an app as a store of jobs.

    Raises:
        CommandError: The broker cannot show jobs, or is embedded.
    """
    broker = _shared_broker(app, command)
    if not isinstance(broker, JobStore):
        raise _missing(broker, "JobStore", command)
    return broker


def registry_of(app: Aarq, command: str) -> WorkerRegistry:
    """Return the broker of an app as a registry of workers.

    Raises:
        CommandError: The broker has no registry, or is embedded.
    """
    broker = _shared_broker(app, command)
    if not isinstance(broker, WorkerRegistry):
        raise _missing(broker, "WorkerRegistry", command)
    return broker


def diagnosable_of(app: Aarq, command: str) -> Diagnosable:
    """Return the broker of an app as one that diagnoses itself.

    Raises:
        CommandError: The broker cannot diagnose itself, or is embedded.
    """
    broker = _shared_broker(app, command)
    if not isinstance(broker, Diagnosable):
        raise _missing(broker, "Diagnosable", command)
    return broker


def check_workers_see_jobs(app: Aarq, command: str, schedule: str) -> None:
    """Check that workers can see the jobs that a command enqueues for a schedule.

    Raises:
        CommandError: The broker is embedded.
    """
    if is_embedded(app.broker):
        raise CommandError(
            f"{command}: {schedule} is a schedule, and the app uses the memory broker: a worker cannot see jobs that "
            "this process enqueues; set AIOQ_BROKER_URL, or write Aarq(broker=...)",
            Exit.CONFIG,
        )


def ask_ledger(app: Aarq, command: str, question: Callable[[TickLedger], Awaitable[T]]) -> T:
    """Return the result of `question`, called with the ledger of a connected app.

    Raises:
        CommandError: As `ledger_of`.
        BrokerUnavailable: The broker cannot be reached.
    """
    ledger = ledger_of(app, command)
    return run_connected(app, lambda: question(ledger))


def run_connected(app: Aarq, work: Callable[[], Awaitable[T]], *, timeout: float | None = None) -> T:
    """Return the result of `work`, called in a new event loop while the app is connected.

    Raises:
        BrokerUnavailable: The broker cannot be reached, or `timeout` seconds have passed.
    """

    async def run() -> T:
        _wake_loop_on_signals()
        # Around the connection, too: a server that accepts it and never answers must not hold up a health probe.
        with anyio.move_on_after(timeout or float("inf")):
            async with app:
                return await work()
        raise BrokerUnavailable(f"{app.broker!r} did not answer within {timeout:g} s")

    return anyio.run(run)


def _shared_broker(app: Aarq, command: str) -> Broker:
    if is_embedded(app.broker):
        raise CommandError(
            f"{command}: the memory broker keeps its data in the process that uses it, where this command cannot see "
            "it; use another broker: set AIOQ_BROKER_URL, or write Aarq(broker=...)",
            Exit.CONFIG,
        )
    return app.broker


def _missing(broker: Broker, feature: str, command: str) -> CommandError:
    return CommandError(str(MissingFeature(broker, feature, f"aioq {command}")), Exit.CONFIG)


def _wake_loop_on_signals() -> None:
    """Make signals wake the event loop.

    Without this a Ctrl-C that comes just before the loop waits is noticed only when something else wakes the loop.
    asyncio sets up the wake-up with the first signal handler that is added, whichever it is.
    """
    # Windows has no such handlers, and its loop wakes anyway; only the main thread receives signals.
    with suppress(NotImplementedError, AttributeError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, lambda: None)
