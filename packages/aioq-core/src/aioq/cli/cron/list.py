"""`aioq cron list`: the entries of an app, when they run next, and what became of the latest tick."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json
from aioq.cli.broker_access import is_embedded, run_connected
from aioq.cli.cron.lookup import SHOWN
from aioq.cli.cron.overview import entry_overviews, overview_as_json, overview_table
from aioq.cli.cron.tick_text import with_job_states
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_err, print_json, print_out, terminal_width
from aioq.cli.times import now, parse_zone, to_datetime
from aioq.cron import CronEntry
from aioq.errors import BrokerUnavailable
from aioq.model.cron import CronStatus
from aioq.protocols import Broker, TickLedger

__all__ = ["entry_table", "list_entries", "register"]

PATIENCE = 5.0
"""Seconds for the broker to answer; then is shown what the code knows."""


def register(verbs: Commands) -> None:
    """Add the command to the parser."""
    parser = verbs.add_parser(
        "list",
        help="show an app's crons, their next runs and what became of the latest",
        description=f"Show the crons of an app: the next {SHOWN} runs of each in its own time zone, and what became "
        "of its latest tick.",
        allow_abbrev=False,
    )
    add_app(parser)
    parser.add_argument("--all", action="store_true", help="also entries that are registered and not in this code")
    parser.add_argument("--tz", metavar="ZONE", help="your zone, to show runs by its clock too; the host's by default")
    add_json(parser)
    parser.set_defaults(run=list_entries)


def list_entries(arguments: argparse.Namespace) -> int:
    """Show an app's entries."""
    reader = parse_zone(arguments.tz)
    app = load_app(arguments.app)
    statuses, moment = _ask(app)
    facts = [fact for fact in entry_overviews(app.crons, statuses or (), moment) if fact.in_code or arguments.all]
    if arguments.json:
        print_json([overview_as_json(fact) for fact in facts])
    elif facts:
        print_out(overview_table(facts, moment, reader, looked_up=statuses is not None, width=terminal_width()))
    else:
        print_out(f"{arguments.app} has no crons")
    return Exit.OK


def entry_table(entries: Iterable[CronEntry], start: datetime, *, width: int | None) -> str:
    """Return a table of entries with their next runs after `start`, as far as the code knows."""
    return overview_table(entry_overviews(entries, (), start), start, UTC, looked_up=False, width=width)


def _ask(app: Aarq) -> tuple[Sequence[CronStatus] | None, datetime]:
    """Return what the ledger knows, and its moment; None when there is no ledger to be seen from here."""
    broker = app.broker
    if is_embedded(broker) or not isinstance(broker, TickLedger):
        return None, now()

    async def question() -> tuple[Sequence[CronStatus], datetime]:
        statuses = await broker.cron_statuses(app.name)
        return await _with_jobs(app.broker, statuses), to_datetime(await app.broker.time())

    try:
        return run_connected(app, question, patience=PATIENCE)
    except BrokerUnavailable as error:
        print_err(f"{error}; shown is what the code knows")
        return None, now()


async def _with_jobs(broker: Broker, statuses: Sequence[CronStatus]) -> list[CronStatus]:
    """Return statuses whose latest tick has the end of its job."""
    return [
        replace(status, last=(await with_job_states(broker, [status.last]))[0]) if status.last else status
        for status in statuses
    ]
