"""`aioq cron pause` and `aioq cron resume`: pause a cron entry, and resume it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from aioq.cli.arguments import Commands, add_entry, add_json
from aioq.cli.broker_access import ask_ledger
from aioq.cli.changes import add_author, author_of, note_change
from aioq.cli.cron.stored import entry_named
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_json, print_out
from aioq.cli.times import format_time
from aioq.clock import stored_time
from aioq.cron import CronEntry
from aioq.cron.overview import next_runs_of
from aioq.model.cron import Pause
from aioq.protocols import TickLedger

__all__ = ["pause", "register", "resume"]


def register(commands: Commands) -> None:
    """Add the commands `pause` and `resume` to the parser."""
    pausing = commands.add_parser(
        "pause",
        help="pause an entry until it is resumed",
        description="Pause an entry until it is resumed. Its ticks are recorded as skipped. An entry that fires once "
        "per fleet pauses at once, one that fires on each worker within 5 seconds.",
    )
    add_entry(pausing)
    pausing.add_argument(
        "--note",
        metavar="TEXT",
        help='the reason, shown by aioq cron list; an earlier one stays if this is left out, and "" removes it',
    )
    add_author(pausing)
    add_json(pausing)
    pausing.set_defaults(run=pause)
    resuming = commands.add_parser(
        "resume",
        help="resume a paused entry",
        description="Resume a paused entry from its next tick on. The skipped ticks do not fire; to fire them, use "
        "aioq cron backfill.",
    )
    add_entry(resuming)
    add_author(resuming)
    add_json(resuming)
    resuming.set_defaults(run=resume)


def pause(arguments: argparse.Namespace) -> int:
    """Pause an entry."""
    by = author_of(arguments)
    app = load_app(arguments.app)
    entry = entry_named(app, arguments.app, arguments.name)

    async def ask(ledger: TickLedger) -> tuple[bool, str, Pause | None]:
        before = await _pause_of(ledger, entry)
        # A ledger replaces the note, but a user who pauses the entry again need not know the reason of the first pause.
        note = (before.note if before else "") if arguments.note is None else arguments.note
        paused = await ledger.pause_cron(entry.key, note=note, by=by)
        await note_change(app, by, "pause", f"cron {entry.queue} {entry.name}", note)
        return paused, note, before

    paused, note, before = ask_ledger(app, "cron pause", ask)
    if arguments.json:
        print_json({"name": entry.name, "queue": entry.queue, "paused": True, "changed": paused, "note": note})
    elif paused:
        print_out(f"{entry.name} is paused; to resume it: aioq cron resume {arguments.app} {entry.name}")
    else:
        since = f", {_since(before, entry)}" if before else ""
        print_out(f"{entry.name} was already paused{since}{_note_change(arguments.note)}")
    return Exit.OK


def resume(arguments: argparse.Namespace) -> int:
    """Resume an entry."""
    by = author_of(arguments)
    app = load_app(arguments.app)
    entry = entry_named(app, arguments.app, arguments.name)

    async def ask(ledger: TickLedger) -> tuple[bool, Pause | None, float]:
        before = await _pause_of(ledger, entry)
        resumed = await ledger.resume_cron(entry.key)
        if resumed:
            await note_change(app, by, "resume", f"cron {entry.queue} {entry.name}")
        return resumed, before, await app.broker.time()

    resumed, before, time = ask_ledger(app, "cron resume", ask)
    runs = [run.astimezone(entry.zone) for run in next_runs_of(entry, datetime.fromtimestamp(time, UTC), 1).runs]
    if arguments.json:
        following = runs[0].isoformat() if runs else None
        print_json({"name": entry.name, "queue": entry.queue, "paused": False, "changed": resumed, "next": following})
    elif resumed:
        following = f"its next run is {format_time(runs[0])}" if runs else "it has no more runs"
        paused = f"; it was paused {_since(before, entry)}" if before else ""
        print_out(f"{entry.name} is resumed: {following}{paused}")
    else:
        print_out(f"{entry.name} was not paused")
    return Exit.OK


def _note_change(note: str | None) -> str:
    """Return what a second pause did to the note of the first one."""
    if note is None:
        return ""
    return f"; the note is now: {note}" if note else "; the note was removed"


async def _pause_of(ledger: TickLedger, entry: CronEntry) -> Pause | None:
    status = await ledger.cron_status(entry.key)
    return status.pause if status else None


def _since(pause: Pause, entry: CronEntry) -> str:
    time = format_time(stored_time(pause.at, entry.zone).replace(microsecond=0))
    return f"by {pause.by} at {time}{f': {pause.note}' if pause.note else ''}"
