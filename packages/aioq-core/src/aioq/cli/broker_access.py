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
from aioq.conformance import supports, why_unsupported
from aioq.errors import BrokerUnavailable, MissingFeature
from aioq.protocols import Broker, TickLedger

__all__ = [
    "ask_ledger",
    "check_workers_see_jobs",
    "feature_of",
    "is_embedded",
    "run_connected",
]

T = TypeVar("T")
P = TypeVar("P")


def is_embedded(broker: Broker) -> bool:
    """Return whether a broker's data is in the memory of this process, where workers cannot see it."""
    return isinstance(broker, MemoryBroker)


def feature_of(app: Aarq, protocol: Callable[..., P], command: str) -> P:
    """Return the broker of a connected app as an implementation of an optional protocol.

    Raises:
        CommandError: The broker does not implement it, or is embedded.
    """
    if is_embedded(app.broker):
        raise CommandError(
            f"{command}: the memory broker keeps its data in the process that uses it, where this command cannot see "
            "it; use another broker: set AIOQ_BROKER_URL, or write Aarq(broker=...)",
            Exit.CONFIG,
        )
    broker: object = app.broker
    if supports(broker, protocol):
        return broker
    name, why = getattr(protocol, "__name__", ""), why_unsupported(broker, protocol)
    raise CommandError(str(MissingFeature(broker, name, f"aioq {command}", why)), Exit.CONFIG)


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
        CommandError: As `feature_of`.
        BrokerUnavailable: The broker cannot be reached.
    """

    async def ask() -> T:
        return await question(feature_of(app, TickLedger, command))

    return run_connected(app, ask)


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


def _wake_loop_on_signals() -> None:
    """Make signals wake the event loop.

    Without this a Ctrl-C that comes just before the loop waits is noticed only when something else wakes the loop.
    asyncio sets up the wake-up with the first signal handler that is added, whichever it is.
    """
    # Windows has no such handlers, and its loop wakes anyway; only the main thread receives signals.
    with suppress(NotImplementedError, AttributeError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, lambda: None)
