"""`aioq cron diff`: shows what a deploy of this code would change."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json
from aioq.cli.broker_access import ask_ledger
from aioq.cli.colors import Color
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_json, print_out
from aioq.cli.times import format_time
from aioq.cron.definition import CronDiff, compare, define
from aioq.cron.overview import firing_mode, next_runs_of
from aioq.cron.stored import parse
from aioq.cron.zones import zone_named
from aioq.model.cron import CronDefinition, CronStatus
from aioq.model.schedules import ScheduleText
from aioq.protocols import TickLedger

__all__ = ["NextRunFinder", "diff", "diff_lines", "register"]

DEFAULT: Final = "default"
"""Text for an option that is not set."""

COLORS: Final[Mapping[str, Color]] = {"+": Color.GREEN, "-": Color.RED, "~": Color.YELLOW}
"""The colours of lines by their first character."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "diff",
        help="show what a deploy would change; exit code 1 if anything",
        description="Compare the cron entries of this code with those that the app's workers have registered. The exit "
        "code is 0 if a deploy would change nothing, and 1 if it would. A deploy does not change entries of other "
        "apps, and they are not shown.",
    )
    add_app(parser)
    add_json(parser)
    parser.set_defaults(run=diff)


def diff(arguments: argparse.Namespace) -> int:
    """Show what a deploy would change."""
    app = load_app(arguments.app)
    statuses, time = _ask(app)
    # For a deploy a retired entry does not exist: code that has it again adds it.
    registered = [status.definition for status in statuses if status.retired_at is None]
    changes = compare(registered, [define(entry) for entry in app.crons])
    next_runs = NextRunFinder(app, time)
    if arguments.json:
        print_json(_diff_as_json(changes, next_runs))
    else:
        for line in diff_lines(changes, next_runs):
            print_out(line, COLORS.get(line[:1]))
        print_out(_summary(changes, app.name, len(app.crons)))
    # As diff(1) does, so that a pipeline can stop at a change.
    return Exit.FAILED if changes else Exit.OK


def _ask(app: Aarq) -> tuple[Sequence[CronStatus], datetime]:
    async def question(ledger: TickLedger) -> tuple[Sequence[CronStatus], datetime]:
        return await ledger.cron_statuses(app.name), datetime.fromtimestamp(await app.broker.time(), UTC)

    return ask_ledger(app, "cron diff", question)


class NextRunFinder:
    """Finds the next run of entries, both of the code and as registered.

    Args:
        app: The app, whose scheduler parses registered expressions.
        now: The time after which to look.
    """

    def __init__(self, app: Aarq, now: datetime) -> None:
        self._app = app
        self._now = now

    def of_code(self, definition: CronDefinition) -> datetime | None:
        """Return the next run of an entry of the code, in its zone; None if there is none."""
        runs = next_runs_of(self._app.crons[definition.name], self._now, 1).runs
        return runs[0].astimezone(zone_named(definition.tz)) if runs and definition.enabled else None

    def of_registered(self, definition: CronDefinition) -> datetime | None:
        """Return the next run of a registered entry; None if there is none or its schedule is not an expression."""
        if not definition.enabled:
            return None
        # An expression with a note, such as the values of its `H`, is not one to parse; its canonical text is.
        canonical = definition.fingerprint.partition(f" [{definition.tz}]")[0]
        for text, seconds in ((definition.expression, None), (canonical, None), (canonical, "first")):
            # It may be the text of a schedule object, or an expression of another scheduler.
            with suppress(Exception):
                schedule = parse(self._app.scheduler, ScheduleText(expression=text, tz=definition.tz, seconds=seconds))
                run = schedule.next_after(self._now)
                return run.astimezone(zone_named(definition.tz)) if run else None
        return None


def diff_lines(changes: CronDiff, next_runs: NextRunFinder) -> Iterator[str]:
    """Yield what a deploy would change: added, changed and removed entries."""
    for definition in changes.added:
        yield f"+ {_title(definition)}"
        yield from _next_line(next_runs.of_code(definition))
    for old, new in changes.changed:
        yield f"~ {_title(new)}"
        for field, before, after in _differences(old, new):
            yield f"    {field:<10} {before} -> {after}"
        runs = next_runs.of_registered(old), next_runs.of_code(new)
        if runs[0] == runs[1]:
            yield from _next_line(runs[1])
        else:
            yield f"    {'next run':<10} {_run_text(runs[0])} -> {_run_text(runs[1])}"
    for definition in changes.removed:
        yield f"- {_title(definition)}"


def _title(definition: CronDefinition) -> str:
    return f"{definition.name} (queue {definition.queue}): {_timing(definition)}"


def _timing(definition: CronDefinition) -> str:
    return f"{definition.expression} [{definition.tz}]"


def _next_line(run: datetime | None) -> Iterator[str]:
    if run:
        yield f"    {'next run':<10} {format_time(run)}"


def _run_text(run: datetime | None) -> str:
    return format_time(run) if run else "unknown"


def _differences(old: CronDefinition, new: CronDefinition) -> Iterator[tuple[str, str, str]]:
    """Yield the fields of an entry that differ: name, registered value, value in the code."""
    pairs = [
        ("schedule", _timing(old), _timing(new)),
        ("kind", old.kind, new.kind),
        ("fires", firing_mode(old), firing_mode(new)),
        ("enabled", _yes_or_no(old.enabled), _yes_or_no(new.enabled)),
    ]
    # Options of both sides: one that was removed has its default again.
    options = sorted({*old.options, *new.options})
    pairs += [(option, old.options.get(option, DEFAULT), new.options.get(option, DEFAULT)) for option in options]
    return (pair for pair in pairs if pair[1] != pair[2])


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _summary(changes: CronDiff, app: str, count: int) -> str:
    if not changes:
        return f"a deploy of {app} would change nothing: its {count} cron entries are registered as in the code"
    unchanged = count - len(changes.added) - len(changes.changed)
    return (
        f"a deploy of {app} would add {len(changes.added)}, change {len(changes.changed)} and retire "
        f"{len(changes.removed)} entries, and leave {unchanged} unchanged"
    )


def _diff_as_json(changes: CronDiff, next_runs: NextRunFinder) -> dict[str, object]:
    return {
        "added": [_definition_as_json(new, next_runs.of_code(new)) for new in changes.added],
        "changed": [
            {
                "before": _definition_as_json(old, next_runs.of_registered(old)),
                "after": _definition_as_json(new, next_runs.of_code(new)),
            }
            for old, new in changes.changed
        ],
        "removed": [_definition_as_json(old, None) for old in changes.removed],
    }


def _definition_as_json(definition: CronDefinition, run: datetime | None) -> dict[str, object]:
    return {**msgspec.to_builtins(definition), "next": run.isoformat() if run else None}
