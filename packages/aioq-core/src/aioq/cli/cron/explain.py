"""`aioq cron explain`: what an expression means, and what the coming year's clock changes do to it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from textwrap import wrap
from zoneinfo import ZoneInfo

from aioq.cli.arguments import Commands
from aioq.cli.cron.expression import add_expression, check_count, parsed, run_table, text_of
from aioq.cli.exits import CommandError, Exit
from aioq.cli.moments import now
from aioq.cli.say import say, say_json, width
from aioq.cron import ClockChange, upcoming
from aioq.protocols import ExplainedSchedule

__all__ = ["Explained", "explain", "explained_at", "lines", "register"]

AHEAD = timedelta(days=365)
"""How far clock changes are looked for."""

PAGE = 100
"""Columns of text where stdout is no terminal."""


def register(verbs: Commands) -> None:
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
    explained = explained_at(now(), schedule, expression=text_of(arguments.expression), zone=zone, count=count)
    if arguments.json:
        say_json(_as_json(explained))
    else:
        say("\n".join(lines(explained, width() or PAGE)))
    return Exit.OK


def explained_at(
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
