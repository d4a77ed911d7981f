"""`aioq cron explain`: what an expression means, and what the coming year's clock changes do to it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from textwrap import wrap
from zoneinfo import ZoneInfo

from aioq.cli.arguments import Commands, add_json
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.output import Column, print_json, print_out, table, terminal_width
from aioq.cli.times import format_times, now
from aioq.cron import ClockChange, upcoming
from aioq.cron.schedule import ExplainedSchedule, Schedule
from aioq.discovery import scheduler_named

__all__ = [
    "Explained",
    "MOST",
    "add_expression",
    "check_count",
    "explain",
    "explain_schedule",
    "lines",
    "next_runs",
    "parsed",
    "register",
    "run_table",
    "text_of",
]

AHEAD = timedelta(days=365)
"""How far clock changes are looked for."""

PAGE = 100
"""Columns of text where stdout is no terminal."""


def register(verbs: Commands) -> None:
    """Add the commands `next` and `explain` to the parser."""
    _register_next(verbs)
    _register_explain(verbs)


def _register_explain(verbs: Commands) -> None:
    """Add the command to the parser."""
    parser = verbs.add_parser(
        "explain",
        help="say an expression in words, with the clock changes that it meets",
        description="Say a cron expression in words, show its next runs, and what each clock change of the coming "
        "year in its time zone does to it.",
        epilog='example: aioq cron explain "30 2 * * *" --tz Europe/Berlin',
        allow_abbrev=False,
    )
    add_expression(parser, count=3)
    parser.set_defaults(run=explain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """All that is to be said of an expression."""

    expression: str
    zone: ZoneInfo
    words: str
    runs: Sequence[datetime]
    changes: Sequence[ClockChange]
    until: datetime


def explain(arguments: argparse.Namespace) -> int:
    """Explain an expression."""
    count = check_count("cron explain", arguments.count)
    schedule = parsed(arguments.expression, arguments.tz)
    if not isinstance(schedule, ExplainedSchedule):
        raise CommandError(
            f"cron explain: the installed scheduler gives {type(schedule).__name__}, which cannot say itself in "
            "words; aioq cron next shows when it fires",
            Exit.CONFIG,
        )
    zone = ZoneInfo(arguments.tz or "UTC")
    explained = explain_schedule(now(), schedule, expression=text_of(arguments.expression), zone=zone, count=count)
    if arguments.json:
        print_json(_as_json(explained))
    else:
        print_out("\n".join(lines(explained, terminal_width() or PAGE)))
    return Exit.OK


def explain_schedule(
    start: datetime, schedule: ExplainedSchedule, *, expression: str, zone: ZoneInfo, count: int
) -> Explained:
    """Return what there is to say of a schedule at a moment."""
    return Explained(
        expression=expression,
        zone=zone,
        words=schedule.in_words(),
        runs=list(islice(upcoming(schedule, start), count)),
        changes=schedule.clock_changes(start, start + AHEAD),
        until=start + AHEAD,
    )


def lines(explained: Explained, columns: int) -> Iterator[str]:
    """Yield all of it as lines of text, each within so many columns where it can be."""
    zone = explained.zone
    yield from wrap(f'"{explained.expression}" in {zone.key} fires {explained.words}.', columns)
    yield "\nNext runs:"
    yield from (f"  {line}" for line in run_table(explained.runs, zone).splitlines())
    until = f"{explained.until.astimezone(zone):%Y-%m-%d}"
    if not explained.changes:
        yield f"\nNo clock change of {zone.key} until {until} touches it."
        return
    yield f"\nClock changes of {zone.key} until {until}:"
    for change in explained.changes:
        yield from _change(change, columns)


def _change(change: ClockChange, columns: int) -> Iterator[str]:
    """Say which way the clocks go, and below it what that does."""
    forward = change.kind == "gap"
    before, after = (change.start, change.end) if forward else (change.end, change.start)
    direction = "forward" if forward else "back"
    yield f"  {before:%a %Y-%m-%d}: clocks go {direction} from {before:%H:%M} to {after:%H:%M}"
    yield from wrap(change.effect, columns, initial_indent="    ", subsequent_indent="    ")


def _as_json(explained: Explained) -> dict[str, object]:
    return {
        "expression": explained.expression,
        "tz": explained.zone.key,
        "words": explained.words,
        "next": [{"at": run.astimezone(explained.zone).isoformat(), "utc": run.isoformat()} for run in explained.runs],
        "clock_changes_until": explained.until.astimezone(explained.zone).isoformat(timespec="seconds"),
        "clock_changes": [
            {
                "at": change.at.isoformat(),
                "kind": change.kind,
                "start": change.start.isoformat(),
                "end": change.end.isoformat(),
                "touches": change.touches,
                "runs": [run.astimezone(explained.zone).isoformat() for run in change.runs],
                "effect": change.effect,
            }
            for change in explained.changes
        ],
    }


MOST = 10_000
"""Runs that are shown at most."""


def add_expression(parser: argparse.ArgumentParser, count: int) -> None:
    """Add an expression, its zone, and of how many runs to speak."""
    parser.add_argument("expression", nargs="+", metavar="EXPR", help='five fields in quotes, as in "*/5 * * * *"')
    parser.add_argument(
        "-n", dest="count", type=int, default=count, metavar="COUNT", help="runs to show; %(default)s by default"
    )
    parser.add_argument("--tz", metavar="ZONE", help="the zone of the expression; UTC by default")
    add_json(parser)


def check_count(command: str, count: int) -> int:
    """Return how many are to be shown.

    Raises:
        CommandError: It is none, or too many.
    """
    if not 1 <= count <= MOST:
        raise CommandError(f"{command}: -n must be between 1 and {MOST:,}, got {count}")
    return count


def text_of(words: Sequence[str]) -> str:
    """Return an expression, which may have come as five words."""
    return " ".join(words)


def parsed(words: Sequence[str], tz: str | None) -> Schedule:
    """Return the schedule of an expression.

    Raises:
        CommandError: It is none; says why.
    """
    try:
        return scheduler_named("cron").parse(text_of(words), tz=tz)
    except (TypeError, ValueError) as error:
        hint = "; put the expression in quotes, or the shell replaces its stars" if len(words) > 1 else ""
        raise CommandError(f"{error}{hint}") from error


def run_table(runs: Sequence[datetime], zone: ZoneInfo) -> str:
    """Return runs below each other, in their zone and in UTC."""
    utc = format_times(runs, weekday=True)
    if zone.key == "UTC":
        return table((Column("UTC"),), zip(utc, strict=True))
    local = format_times([run.astimezone(zone) for run in runs], weekday=True)
    return table((Column(zone.key), Column("UTC")), zip(local, utc, strict=True))


def _register_next(verbs: Commands) -> None:
    """Add the command to the parser."""
    parser = verbs.add_parser(
        "next",
        help="show when an expression fires next",
        description="Show when a cron expression fires next, in its time zone and in UTC.",
        epilog='example: aioq cron next "0 9 * * 1-5" -n 3 --tz Europe/Berlin',
        allow_abbrev=False,
    )
    add_expression(parser, count=5)
    parser.set_defaults(run=next_runs)


def next_runs(arguments: argparse.Namespace) -> int:
    """Show the next runs of an expression."""
    count = check_count("cron next", arguments.count)
    schedule = parsed(arguments.expression, arguments.tz)
    zone = ZoneInfo(arguments.tz or "UTC")
    runs = list(islice(upcoming(schedule, now()), count))
    if arguments.json:
        print_json([{"at": run.astimezone(zone).isoformat(), "utc": run.isoformat()} for run in runs])
    else:
        print_out(run_table(runs, zone))
    return Exit.OK
