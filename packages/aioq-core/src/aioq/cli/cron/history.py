"""`aioq cron history`: shows the latest ticks of an entry."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_count, add_entry, add_json, count_of
from aioq.cli.broker_access import ask_ledger
from aioq.cli.colors import state_color
from aioq.cli.cron.stored import entry_named
from aioq.cli.cron.tick_text import duration_text, record_as_json
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import Column, Table, print_json, print_out, print_table
from aioq.cli.times import format_duration, format_time
from aioq.clock import stored_time
from aioq.cron import CronEntry
from aioq.cron.outcomes import reason_text, with_job_states, with_lost_run
from aioq.model.cron import TickRecord
from aioq.protocols import TickLedger

__all__ = ["history", "history_table", "register"]

MAX_RECORDS: Final = 100
"""Records that a ledger keeps for an entry."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "history",
        help="show the latest ticks of an entry",
        description=f"Show the latest ticks of an entry, the newest first. The ledger keeps {MAX_RECORDS} of them.",
    )
    add_entry(parser)
    add_count(parser, "ticks", 20)
    add_json(parser)
    parser.set_defaults(run=history)


def history(arguments: argparse.Namespace) -> int:
    """Show the latest ticks of an entry."""
    count = count_of(arguments, "cron history", MAX_RECORDS)
    app = load_app(arguments.app)
    entry = entry_named(app, arguments.app, arguments.name)
    records = _records(app, entry, count)
    zone = entry.zone
    if arguments.json:
        print_json([record_as_json(record, zone) for record in records])
    elif records:
        print_table(history_table(records, zone))
    else:
        print_out(f"no tick of {entry.name} is recorded yet")
    return Exit.OK


def _records(app: Aarq, entry: CronEntry, count: int) -> list[TickRecord]:
    async def question(ledger: TickLedger) -> list[TickRecord]:
        # The store may know the end of a job before its worker has recorded it.
        records = await with_job_states(app.broker, await ledger.tick_history(entry.key, limit=count))
        status = await ledger.cron_status(entry.key)
        if records and status is not None:
            # The ledger knows whether the latest run is extended, and no earlier one.
            records[0] = with_lost_run(records[0], status)
        return records

    return ask_ledger(app, "cron history", question)


def history_table(records: Sequence[TickRecord], zone: tzinfo) -> Table:
    """Return a table of records, with their ticks in `zone`."""
    columns = (
        Column("TICK"),
        Column("STATUS", color=state_color),
        Column("LATE"),
        Column("TOOK"),
        Column("WORKER", least=10, keep_end=True),
        Column("WHY", least=13),
    )
    rows = [
        (
            format_time(stored_time(record.tick, zone)),
            record.status.value,
            "" if record.fired_at is None else format_duration(record.late),
            duration_text(record),
            record.worker_id,
            reason_text(record),
        )
        for record in records
    ]
    return Table(columns, rows)
