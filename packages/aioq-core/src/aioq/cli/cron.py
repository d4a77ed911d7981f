"""`aioq cron`: which schedules an app has, and when an expression fires."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from aioq.cli.arguments import Commands, add_app, add_json, show_help
from aioq.cli.exits import CommandError, Exit
from aioq.cli.locate import load_app
from aioq.cli.say import say, say_json, width
from aioq.cli.table import Column, table
from aioq.clock import SystemClock
from aioq.cron import CronEntry, upcoming
from aioq.discovery import scheduler_named
from aioq.failure import one_line
from aioq.protocols import Schedule

__all__ = ["entry_table", "now", "register"]

SHOWN = 3
MOST = 10_000


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    text = "Look at cron schedules."
    parser = commands.add_parser("cron", help="look at cron schedules", description=text, allow_abbrev=False)
    show_help(parser)
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND")
    _register_list(verbs)
    _register_next(verbs)


def _register_list(verbs: Commands) -> None:
    parser = verbs.add_parser(
        "list",
        help="show an app's crons and their next runs",
        description=f"Show the crons of an app, with the next {SHOWN} runs of each in its own time zone.",
        allow_abbrev=False,
    )
    add_app(parser)
    add_json(parser)
    parser.set_defaults(run=list_entries)


def _register_next(verbs: Commands) -> None:
    parser = verbs.add_parser(
        "next",
        help="show when an expression fires next",
        description="Show when a cron expression fires next, in its time zone and in UTC.",
        epilog='example: aioq cron next "0 9 * * 1-5" -n 3 --tz Europe/Berlin',
        allow_abbrev=False,
    )
    parser.add_argument("expression", nargs="+", metavar="EXPR", help='five fields in quotes, as in "*/5 * * * *"')
    parser.add_argument(
        "-n", dest="count", type=int, default=5, metavar="COUNT", help="runs to show; %(default)s by default"
    )
    parser.add_argument("--tz", metavar="ZONE", help="the zone of the expression; UTC by default")
    add_json(parser)
    parser.set_defaults(run=next_runs)


def list_entries(arguments: argparse.Namespace) -> int:
    """Show an app's entries."""
    app = load_app(arguments.app)
    start = now()
    if arguments.json:
        say_json([_as_json(entry, start) for entry in app.crons])
    elif app.crons:
        say(entry_table(app.crons, start, width=width()))
    else:
        say(f"{arguments.app} has no crons")
    return Exit.OK


def entry_table(entries: Iterable[CronEntry], start: datetime, *, width: int | None) -> str:
    """Return a table of entries with their next runs after `start`."""
    columns = (
        Column("NAME", least=16, keep_end=True),
        Column("SCHEDULE", least=11),
        Column("ZONE", least=8),
        Column("QUEUE", least=7),
        Column("UNIQUE"),
        Column("NEXT RUNS"),
    )
    rows = [
        (entry.name, entry.expression, entry.tz, entry.queue, "yes" if entry.unique else "no", _runs(entry, start))
        for entry in entries
    ]
    return table(columns, rows, width=width)


def now() -> datetime:
    """Return the moment from which next runs are counted."""
    return datetime.fromtimestamp(SystemClock().time(), UTC)


def _runs(entry: CronEntry, start: datetime) -> str:
    try:
        return "\n".join(map(_shown, _next(entry, start))) or "never"
    except Exception as error:  # anybody may write a schedule
        return _fails(error)


def _as_json(entry: CronEntry, start: datetime) -> dict[str, object]:
    facts: dict[str, object] = {
        "name": entry.name,
        "expression": entry.expression,
        "tz": entry.tz,
        "queue": entry.queue,
        "unique": entry.unique,
    }
    try:
        return {**facts, "next": [run.isoformat() for run in _next(entry, start)]}
    except Exception as error:  # anybody may write a schedule
        return {**facts, "next": [], "error": _fails(error)}


def _next(entry: CronEntry, start: datetime) -> list[datetime]:
    """Return the next runs of an entry, in its zone."""
    zone = _zone(entry.tz)
    return [run.astimezone(zone) for run in islice(upcoming(entry.schedule, start), SHOWN)]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a zone that was read from a file has no name to find it by
        return ZoneInfo("UTC")


def _shown(moment: datetime, *, weekday: bool = False) -> str:
    """Return a moment with its offset, and with seconds where it has some."""
    unit = "microseconds" if moment.microsecond else "seconds" if moment.second else "minutes"
    day = f"{moment:%a} " if weekday else ""
    return day + moment.isoformat(" ", timespec=unit)


def _fails(error: Exception) -> str:
    return one_line(f"fails: {type(error).__name__}: {error}", 100)


def next_runs(arguments: argparse.Namespace) -> int:
    """Show the next runs of an expression."""
    if not 1 <= arguments.count <= MOST:
        raise CommandError(f"cron next: -n must be between 1 and {MOST:,}, got {arguments.count}")
    schedule = _parsed(arguments.expression, arguments.tz)
    zone = ZoneInfo(arguments.tz or "UTC")
    runs = list(islice(upcoming(schedule, now()), arguments.count))
    if arguments.json:
        say_json([{"at": run.astimezone(zone).isoformat(), "utc": run.isoformat()} for run in runs])
    else:
        say(_run_table(runs, zone))
    return Exit.OK


def _parsed(words: Sequence[str], tz: str | None) -> Schedule:
    """Return the schedule of an expression, which may have come as five words."""
    try:
        return scheduler_named("cron").parse(" ".join(words), tz=tz)
    except (TypeError, ValueError) as error:
        hint = "; put the expression in quotes, or the shell replaces its stars" if len(words) > 1 else ""
        raise CommandError(f"{error}{hint}") from error


def _run_table(runs: Sequence[datetime], zone: ZoneInfo) -> str:
    utc = [_shown(run, weekday=True) for run in runs]
    if zone.key == "UTC":
        return table((Column("UTC"),), zip(utc, strict=True))
    local = [_shown(run.astimezone(zone), weekday=True) for run in runs]
    return table((Column(zone.key), Column("UTC")), zip(local, utc, strict=True))
