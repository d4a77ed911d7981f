"""`aioq cron next` and `aioq cron explain`: show when an expression fires, without an app."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Final
from zoneinfo import ZoneInfo

from aioq.cli.arguments import Commands, add_count, add_json, count_of
from aioq.cli.colors import Color, painted
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.output import Column, Table, out_has_color, print_json, print_out, terminal_width
from aioq.cli.times import format_times, now
from aioq.cron import ClockChange, CronOptions, upcoming
from aioq.cron.schedule import ExplainedSchedule, LintedSchedule
from aioq.cron.timing import EntrySchedule, Timing
from aioq.discovery import scheduler_named

__all__ = ["Explanation", "explain", "explain_schedule", "explanation_lines", "register", "show_next"]

MAX_RUNS: Final = 10_000
"""Runs that are shown at most."""

CLOCK_CHANGES_WITHIN: Final = timedelta(days=365)
"""How far ahead clock changes are shown."""

DEFAULT_WIDTH: Final = 100
"""Columns of text if stdout is not a terminal."""


def register(commands: Commands) -> None:
    """Add the commands `next` and `explain` to the parser."""
    following = commands.add_parser(
        "next",
        help="show the next runs of an expression",
        description="Show when a cron expression fires next, in its time zone and in UTC.",
        epilog='example: aioq cron next "0 9 * * 1-5" -n 3 --tz Europe/Berlin',
    )
    _add_expression(following, count=5)
    following.set_defaults(run=show_next)
    explaining = commands.add_parser(
        "explain",
        help="explain an expression in words, with the clock changes ahead",
        description="Explain a cron expression in words, with its next runs, and with the effect of each clock change "
        "in its time zone within a year.",
        epilog='example: aioq cron explain "30 2 * * *" --tz Europe/Berlin',
    )
    _add_expression(explaining, count=3)
    explaining.set_defaults(run=explain)


def _add_expression(parser: argparse.ArgumentParser, count: int) -> None:
    # Several words, so that an expression without quotes gets an error that says so.
    parser.add_argument("expression", nargs="+", metavar="EXPR", help='five fields in quotes, as in "*/5 * * * *"')
    add_count(parser, "runs", count)
    parser.add_argument("--tz", metavar="ZONE", help="the time zone of the expression; UTC by default")
    parser.add_argument("--seconds", metavar="PLACE", help="first or last: the place of a field of the seconds")
    parser.add_argument("--dialect", metavar="NAME", help="quartz, aws, croniter, jenkins or spring")
    parser.add_argument("--name", metavar="ENTRY", help="the name of the entry, which chooses the values of H")
    add_json(parser)


def show_next(arguments: argparse.Namespace) -> int:
    """Show the next runs of an expression."""
    count = count_of(arguments, "cron next", MAX_RUNS)
    schedule = _parse(arguments).schedule
    zone = ZoneInfo(arguments.tz or "UTC")
    runs = upcoming(schedule, now(), count)
    if arguments.json:
        print_json(_runs_as_json(runs, zone))
    else:
        print_out(_run_table(runs, zone).text(color=out_has_color()))
    return Exit.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What `aioq cron explain` shows of an expression."""

    expression: str
    zone: ZoneInfo
    words: str
    runs: Sequence[datetime]
    changes: Sequence[ClockChange]
    until: datetime
    """Clock changes from then on are not among `changes`."""
    lints: Sequence[str] = ()
    """What the author of the expression hardly means."""


def explain(arguments: argparse.Namespace) -> int:
    """Explain an expression."""
    count = count_of(arguments, "cron explain", MAX_RUNS)
    timed = _parse(arguments)
    schedule = timed.schedule
    if not isinstance(schedule, ExplainedSchedule):
        raise CommandError(
            f"cron explain: the installed scheduler returns {type(schedule).__name__}, which cannot explain itself; "
            "aioq cron next shows when it fires",
            Exit.CONFIG,
        )
    zone = ZoneInfo(arguments.tz or "UTC")
    explanation = explain_schedule(now(), schedule, expression=timed.expression, zone=zone, count=count)
    if arguments.json:
        print_json(_explanation_as_json(explanation))
    else:
        columns = terminal_width() or DEFAULT_WIDTH
        print_out("\n".join(explanation_lines(explanation, columns, color=out_has_color())))
    return Exit.OK


def explain_schedule(
    start: datetime, schedule: ExplainedSchedule, *, expression: str, zone: ZoneInfo, count: int
) -> Explanation:
    """Return the explanation of a schedule as of `start`."""
    until = start + CLOCK_CHANGES_WITHIN
    return Explanation(
        expression=expression,
        zone=zone,
        words=schedule.in_words(),
        runs=upcoming(schedule, start, count),
        changes=schedule.clock_changes(start, until),
        until=until,
        lints=schedule.lints(start) if isinstance(schedule, LintedSchedule) else (),
    )


def explanation_lines(explanation: Explanation, columns: int, *, color: bool = False) -> Iterator[str]:
    """Yield the lines of an explanation, wrapped to `columns` characters, in colours if `color` is set."""
    zone = explanation.zone
    bold, yellow = (Color.BOLD, Color.YELLOW) if color else (None, None)
    yield from wrap(f'"{explanation.expression}" in {zone.key} fires {explanation.words}.', columns)
    for lint in explanation.lints:
        warning = wrap(f"Warning: {lint}.", columns, subsequent_indent="  ")
        yield "\n" + "\n".join(painted(line, yellow) for line in warning)
    yield f"\n{painted('Next runs:', bold)}"
    yield from (f"  {line}" for line in _run_table(explanation.runs, zone).text(color=color).splitlines())
    until = f"{explanation.until.astimezone(zone):%Y-%m-%d}"
    if not explanation.changes:
        yield f"\nNo clock change of {zone.key} until {until} affects it."
        return
    yield f"\n{painted(f'Clock changes of {zone.key} until {until}:', bold)}"
    for change in explanation.changes:
        yield from _change_lines(change, columns)


def _change_lines(change: ClockChange, columns: int) -> Iterator[str]:
    """Yield the direction of a clock change, and its effect."""
    forward = change.kind == "gap"
    # Clocks that are put back jump from the end of the repeated time to its start.
    before, after = (change.start, change.end) if forward else (change.end, change.start)
    direction = "forward" if forward else "back"
    yield f"  {before:%a %Y-%m-%d}: clocks go {direction} from {before:%H:%M} to {after:%H:%M}"
    yield from wrap(change.effect, columns, initial_indent="    ", subsequent_indent="    ")


def _explanation_as_json(explanation: Explanation) -> dict[str, object]:
    zone = explanation.zone
    return {
        "expression": explanation.expression,
        "tz": zone.key,
        "words": explanation.words,
        "warnings": list(explanation.lints),
        "next": _runs_as_json(explanation.runs, zone),
        "clock_changes_until": explanation.until.astimezone(zone).isoformat(timespec="seconds"),
        "clock_changes": [
            {
                "at": change.at.isoformat(),
                "kind": change.kind,
                "start": change.start.isoformat(),
                "end": change.end.isoformat(),
                "touches": change.touches,
                "runs": [run.astimezone(zone).isoformat() for run in change.runs],
                "effect": change.effect,
            }
            for change in explanation.changes
        ],
    }


def _parse(arguments: argparse.Namespace) -> EntrySchedule:
    try:
        # Without an app there is no other scheduler to ask.
        timing = Timing(
            schedule=" ".join(arguments.expression),
            zone=arguments.tz,
            scheduler=scheduler_named("cron"),
            options=CronOptions(),
            seconds=arguments.seconds,
            dialect=arguments.dialect,
        )
        timed = timing.of_entry(arguments.name)
        # An H without a name is noticed here, and not when the output has begun.
        timed.schedule.next_after(now())
    except (TypeError, ValueError) as error:
        hint = "; put the expression in quotes, or the shell expands its stars" if len(arguments.expression) > 1 else ""
        raise CommandError(f"{error}{hint}") from error
    return timed


def _run_table(runs: Sequence[datetime], zone: ZoneInfo) -> Table:
    utc = format_times(runs, weekday=True)
    if zone.key == "UTC":
        return Table((Column("UTC"),), [*zip(utc, strict=True)])
    local = format_times([run.astimezone(zone) for run in runs], weekday=True)
    return Table((Column(zone.key), Column("UTC")), [*zip(local, utc, strict=True)])


def _runs_as_json(runs: Sequence[datetime], zone: ZoneInfo) -> list[dict[str, str]]:
    return [{"at": run.astimezone(zone).isoformat(), "utc": run.isoformat()} for run in runs]
