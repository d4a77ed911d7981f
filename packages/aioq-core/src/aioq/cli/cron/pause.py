"""`aioq cron pause` and `aioq cron resume`: have an entry fire no more until further notice."""

from __future__ import annotations

import argparse

from aioq.cli.arguments import Commands, add_entry, add_json
from aioq.cli.broker_access import ask_ledger
from aioq.cli.cron.lookup import find_entry, next_runs_of
from aioq.cli.cron.manual import user_at_host
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_json, print_out
from aioq.cli.times import format_time, to_datetime, zone_of
from aioq.cron import CronEntry
from aioq.model.cron import Pause
from aioq.protocols import TickLedger

__all__ = ["pause", "register", "resume"]


def register(verbs: Commands) -> None:
    """Add the commands to the parser."""
    pausing = verbs.add_parser(
        "pause",
        help="have an entry fire no more until it is resumed",
        description="Have an entry fire no more until it is resumed. Its ticks are recorded as skipped. Workers heed "
        "it at once where an entry fires once for the fleet, and within 5 seconds where it fires on each worker.",
        allow_abbrev=False,
    )
    add_entry(pausing)
    pausing.add_argument("--note", default="", metavar="TEXT", help="why, for whoever looks at aioq cron list")
    add_json(pausing)
    pausing.set_defaults(run=pause)
    resuming = verbs.add_parser(
        "resume",
        help="have a paused entry fire again",
        description="Have a paused entry fire again, from its next tick on. What it skipped is not made up for; "
        "aioq cron backfill does that.",
        allow_abbrev=False,
    )
    add_entry(resuming)
    add_json(resuming)
    resuming.set_defaults(run=resume)


def pause(arguments: argparse.Namespace) -> int:
    """Pause an entry."""
    app = load_app(arguments.app)
    entry = find_entry(app, arguments.app, arguments.name)

    async def do(ledger: TickLedger) -> tuple[bool, Pause | None]:
        before = await _pause_of(ledger, entry)
        return await ledger.pause_cron(entry.key, note=arguments.note, by=user_at_host()), before

    fresh, before = ask_ledger(app, "cron pause", do)
    if arguments.json:
        print_json({"name": entry.name, "queue": entry.queue, "paused": True, "changed": fresh, "note": arguments.note})
    elif fresh:
        print_out(f"{entry.name} is paused; it fires again after: aioq cron resume {arguments.app} {entry.name}")
    else:
        since = f", {_since(before, entry)}" if before else ""
        now = f"; the note is now: {arguments.note}" if arguments.note else ""
        print_out(f"{entry.name} was paused already{since}{now}")
    return Exit.OK


def resume(arguments: argparse.Namespace) -> int:
    """Resume an entry."""
    app = load_app(arguments.app)
    entry = find_entry(app, arguments.app, arguments.name)

    async def do(ledger: TickLedger) -> tuple[bool, Pause | None, float]:
        before = await _pause_of(ledger, entry)
        return await ledger.resume_cron(entry.key), before, await app.broker.time()

    resumed, before, moment = ask_ledger(app, "cron resume", do)
    runs = [run.astimezone(zone_of(entry.tz)) for run in next_runs_of(entry, to_datetime(moment), 1).runs]
    if arguments.json:
        following = runs[0].isoformat() if runs else None
        print_json({"name": entry.name, "queue": entry.queue, "paused": False, "changed": resumed, "next": following})
    elif resumed:
        after = f"fires next at {format_time(runs[0])}" if runs else "has no more runs"
        print_out(f"{entry.name}{f', paused {_since(before, entry)},' if before else ''} is resumed and {after}")
    else:
        print_out(f"{entry.name} was not paused")
    return Exit.OK


async def _pause_of(ledger: TickLedger, entry: CronEntry) -> Pause | None:
    status = await ledger.cron_status(entry.key)
    return status.pause if status else None


def _since(pause: Pause, entry: CronEntry) -> str:
    moment = format_time(to_datetime(pause.at, zone_of(entry.tz)).replace(microsecond=0))
    return f"by {pause.by} at {moment}{f': {pause.note}' if pause.note else ''}"
