"""`aioq stats`: shows how jobs flow, in total and by task; once, or again and again."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_count, add_json, add_target, count_of
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.colors import count_color
from aioq.cli.counted import add_hours, check_hours, flow_as_json, percentile_text, read_counts
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import Column, Table, out_has_color, print_json, print_out, terminal_width
from aioq.cli.times import format_time, iso_time
from aioq.clock import SystemClock, stored_time
from aioq.model.flow import ENDED, Flow, flows
from aioq.model.ids import check_name
from aioq.model.statistics import Count, JobOutcome, Step, period_of
from aioq.protocols import Statistics

__all__ = ["register", "stats"]

MINUTES: Final = 60
"""Minutes of the bars."""

INTERVAL: Final = 2.0
"""Seconds between two looks of `--watch`: workers report every ten seconds or less often."""

BARS: Final = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a broker has counted."""

    at: float
    """The broker's clock."""
    hours: int
    total: Flow
    tasks: Sequence[tuple[tuple[str, str], Flow]]
    """By queue and task, those with the most jobs first."""
    minutes: Sequence[int]
    """Jobs that ended in each of the latest minutes, the oldest first; the running one is left out."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "stats",
        help="show how many jobs end, how they end, and how long they wait and run",
        description="Show what workers and clients have counted: outcomes, waits and durations of the latest hours, "
        "and the jobs that end a minute, in total and by task. Counts arrive with the heartbeats of the workers.",
        epilog="example: aioq stats shop:app --hours 24 --watch",
        allow_abbrev=False,
    )
    add_target(parser)
    parser.add_argument("-q", "--queue", metavar="QUEUE", help="only jobs of this queue")
    parser.add_argument("--task", metavar="TASK", help="only jobs of this task")
    add_hours(parser, 2)
    parser.add_argument("--watch", action="store_true", help=f"show it again every {INTERVAL:g} seconds until Ctrl-C")
    add_count(parser, "tasks", 20)
    add_json(parser)
    parser.set_defaults(run=stats)


def stats(arguments: argparse.Namespace) -> int:
    """Show how jobs flow."""
    count_of(arguments, "stats", 1_000)
    check_hours(arguments, "stats")
    try:
        if arguments.queue is not None:
            check_name("queue", arguments.queue)
    except ValueError as error:
        raise CommandError(f"stats: {error}") from None
    app = load_target(arguments.target, "stats", arguments.namespace)
    run_connected(app, lambda: _show(app, arguments))
    return Exit.OK


async def _show(app: Aarq, arguments: argparse.Namespace) -> None:
    feature_of(app, Statistics, "stats")
    # A dumb terminal, as a pipe, gets one text below the other.
    in_place = arguments.watch and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    while True:
        look = await _look(app, arguments)
        if arguments.json and arguments.watch:
            print_out(json.dumps(_as_json(look, arguments.count)))
        elif arguments.json:
            print_json(_as_json(look, arguments.count))
        else:
            _print(look, arguments, in_place=in_place)
        if not arguments.watch:
            return
        await SystemClock().sleep(INTERVAL)


async def _look(app: Aarq, arguments: argparse.Namespace) -> Look:
    given = {"queue": arguments.queue, "task": arguments.task}

    def key(count: Count) -> tuple[str, str]:
        return count.queue, count.task

    counts = await read_counts(app, Step.MINUTE, MINUTES + 1, **given) or ()
    by_hour = await read_counts(app, Step.HOUR, arguments.hours, **given) or ()
    now = await app.broker.time()
    total = flows(counts, by_hour, now, lambda _: "")
    tasks = flows(counts, by_hour, now, key)
    ordered = sorted(tasks.items(), key=lambda item: (-item[1].completed - item[1].failed, item[0]))
    first = period_of(now, Step.MINUTE) - MINUTES * Step.MINUTE
    minutes = [0] * MINUTES
    for count in counts:
        place = (count.start - first) // Step.MINUTE
        if 0 <= place < MINUTES and count.outcome in ENDED:
            minutes[place] += count.count
    return Look(at=now, hours=arguments.hours, total=total.get("", Flow()), tasks=ordered, minutes=minutes)


def _print(look: Look, arguments: argparse.Namespace, *, in_place: bool) -> None:
    lines = [*_head(look), ""]
    if look.tasks:
        lines += _table(look.tasks[: arguments.count]).text(terminal_width(), color=out_has_color()).split("\n")
    else:
        lines.append("nothing was counted")
    if (more := len(look.tasks) - arguments.count) > 0:
        lines.append(f"{more:,} more task{'' if more == 1 else 's'}; show more with -n")
    if in_place:
        # From the top left corner: each line clears its rest, and the last one what is below, so that nothing flickers.
        height = shutil.get_terminal_size().lines
        sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in lines[: height - 1]) + "\x1b[J")
        sys.stdout.flush()
    else:
        print_out("\n".join(lines) + ("\n" if arguments.watch else ""))


def _head(look: Look) -> list[str]:
    """Return the lines about all jobs."""
    outcomes = ", ".join(
        f"{number:,} {outcome}" for outcome in JobOutcome if (number := look.total.outcomes.get(outcome, 0))
    )
    hours = "hour" if look.hours == 1 else f"{look.hours} hours"
    lines = [
        f"{format_time(stored_time(look.at).replace(microsecond=0))}, the latest {hours}: {outcomes or 'no jobs'}",
        f"a minute, of the latest 5: {look.total.entered:,.1f} entered, {look.total.ended:,.1f} ended",
    ]
    for what, below in (("wait", look.total.wait_below), ("run", look.total.duration_below)):
        parts = ", ".join(f"p{share} {percentile_text(below(share / 100))}" for share in (50, 95, 99))
        lines.append(f"{what}: {parts}")
    return [
        *lines,
        f"ended in each of the latest {MINUTES} minutes, at most {max(look.minutes):,}:",
        _bars(look.minutes),
    ]


def _bars(numbers: Sequence[int]) -> str:
    """Return a character for each number, the higher the greater it is; only 0 is a blank."""
    most = max(numbers)
    places = len(BARS) - 1
    return "".join(BARS[-(-number * places // most) if most else 0] for number in numbers)


def _table(rows: Sequence[tuple[tuple[str, str], Flow]]) -> Table:
    titles = ("RETRIED", "A MINUTE", "P95 WAIT", "P95 RUN")
    counts = [Column("DONE"), Column("FAILED", color=count_color), *map(Column, titles)]
    columns = [Column("TASK", 12), Column("QUEUE", 7), *counts]
    return Table(columns, [_row(queue, task, flow) for (queue, task), flow in rows])


def _row(queue: str, task: str, flow: Flow) -> list[str]:
    retried = flow.outcomes.get(JobOutcome.RETRIED, 0)
    percentiles = [percentile_text(below(0.95)) for below in (flow.wait_below, flow.duration_below)]
    return [task, queue, f"{flow.completed:,}", f"{flow.failed:,}", f"{retried:,}", f"{flow.ended:,.1f}", *percentiles]


def _as_json(look: Look, count: int) -> dict[str, object]:
    return {
        "at": iso_time(look.at),
        "hours": look.hours,
        "total": flow_as_json(look.total),
        "ended_by_minute": list(look.minutes),
        "tasks": [{"queue": queue, "task": task, **flow_as_json(flow)} for (queue, task), flow in look.tasks[:count]],
    }
