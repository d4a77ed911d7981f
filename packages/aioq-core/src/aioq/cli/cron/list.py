"""`aioq cron list`: shows the cron entries of an app, their next runs and their latest ticks."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json
from aioq.cli.broker_access import is_embedded, run_connected
from aioq.cli.cron.overview import View, overview_as_json, overview_table
from aioq.cli.cron.stored import stored_entries
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_err, print_json, print_out, print_table
from aioq.cli.times import now, parse_zone
from aioq.conformance import supports
from aioq.cron import CronEntry
from aioq.cron.outcomes import with_job_states
from aioq.cron.overview import NEXT_RUNS, entry_overviews
from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.model.cron import CronStatus
from aioq.protocols import Broker, Schedules, TickLedger

__all__ = ["list_entries", "register"]

BROKER_TIMEOUT: Final = 5.0
"""Seconds to wait for the broker; after them the command shows what is in the code."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "list",
        help="show an app's crons with their next runs and latest ticks",
        description=f"Show the cron entries of an app: the next {NEXT_RUNS} runs of each in its own time zone, and the "
        "outcome of its latest tick.",
    )
    add_app(parser)
    parser.add_argument("--all", action="store_true", help="also show registered entries that this code does not have")
    parser.add_argument(
        "--tz", metavar="ZONE", help="your time zone, to show runs in it too; the host's zone by default"
    )
    add_json(parser)
    parser.set_defaults(run=list_entries)


def list_entries(arguments: argparse.Namespace) -> int:
    """Show the cron entries of an app."""
    zone = parse_zone(arguments.tz)
    app = load_app(arguments.app)
    statuses, stored, time = _ask(app)
    known = entry_overviews(app.crons, statuses or (), time, stored)
    overviews = [one for one in known if one.in_code or arguments.all]
    if arguments.json:
        print_json([overview_as_json(overview) for overview in overviews])
    elif overviews:
        view = View(now=time, zone=zone, with_ledger=statuses is not None)
        print_table(overview_table(overviews, view))
    else:
        print_out(f"{arguments.app} has no crons")
    return Exit.OK


def _ask(app: Aarq) -> tuple[Sequence[CronStatus] | None, list[CronEntry], datetime]:
    """Return what the ledger knows, the stored schedules, and its time; without a ledger None and the host's time."""
    broker = app.broker
    if is_embedded(broker):
        return None, [], now()

    async def question() -> tuple[Sequence[CronStatus] | None, list[CronEntry], datetime]:
        if not supports(broker, TickLedger):
            return None, [], now()
        # All at once, as each of them is a round trip.
        statuses, (stored, of_stored), time = await asyncio.gather(
            _statuses(broker, app.name), _stored(app, broker), app.broker.time()
        )
        known = await _with_job_states(app.broker, [*statuses, *of_stored])
        return known, stored, datetime.fromtimestamp(time, UTC)

    try:
        return run_connected(app, question, timeout=BROKER_TIMEOUT)
    # The next runs need no broker, and in an outage an operator wants to see them.
    except BrokerUnavailable as error:
        print_err(f"{error}; showing only what is in the code")
        return None, [], now()


async def _stored(app: Aarq, ledger: TickLedger) -> tuple[list[CronEntry], list[CronStatus]]:
    """Return the stored schedules, unless the code has an entry of their name, and their statuses."""
    broker = app.broker
    if not supports(broker, Schedules):
        return [], []
    stored = [entry for entry in await stored_entries(app, broker) if entry.name not in app.crons]
    statuses = await asyncio.gather(*(ledger.cron_status(entry.key) for entry in stored))
    return stored, [status for status in statuses if status]


async def _statuses(ledger: TickLedger, app: str) -> list[CronStatus]:
    try:
        return await ledger.cron_statuses(app)
    except PartlyUnavailable as error:
        print_err(f"{error}; showing only what is in the code of their entries")
        reached: list[CronStatus] = error.answer
        return reached


async def _with_job_states(broker: Broker, statuses: Sequence[CronStatus]) -> list[CronStatus]:
    """Return statuses whose latest records have the states of their jobs."""
    last = [status.last for status in statuses if status.last]
    known = iter(await with_job_states(broker, last) if last else [])
    return [replace(status, last=next(known)) if status.last else status for status in statuses]
