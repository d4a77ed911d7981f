"""`aioq cron diff`: what a deploy of this code would change."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json
from aioq.cli.broker_access import ask_ledger
from aioq.cli.cron.lookup import next_runs_of
from aioq.cli.cron.overview import firing_mode
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_json, print_out
from aioq.cli.times import format_time, to_datetime, zone_of
from aioq.cron.definition import CronDiff, compare, define
from aioq.model.cron import CronDefinition, CronStatus
from aioq.protocols import TickLedger

__all__ = ["NextRunFinder", "diff", "diff_lines", "register"]

DEFAULT = "default"


def register(verbs: Commands) -> None:
    """Add the command to the parser."""
    parser = verbs.add_parser(
        "diff",
        help="show what a deploy of this code would change; exit code 1 if anything",
        description="Compare the cron entries of this code with those that the workers of the app have registered. "
        "The exit code is 0 when a deploy would change nothing, and 1 when it would. Entries of other apps are left "
        "alone by a deploy, and are not shown.",
        allow_abbrev=False,
    )
    add_app(parser)
    add_json(parser)
    parser.set_defaults(run=diff)


def diff(arguments: argparse.Namespace) -> int:
    """Show what would change."""
    app = load_app(arguments.app)
    statuses, moment = _ask(app)
    registered = [status.definition for status in statuses if status.retired_at is None]
    changes = compare(registered, [define(entry) for entry in app.crons])
    ahead = NextRunFinder(app, moment)
    if arguments.json:
        print_json(_as_json(changes, ahead))
    else:
        for line in diff_lines(changes, ahead):
            print_out(line)
        print_out(_summary(changes, app.name, len(app.crons)))
    return Exit.FAILED if changes else Exit.OK


def _ask(app: Aarq) -> tuple[Sequence[CronStatus], datetime]:
    async def question(ledger: TickLedger) -> tuple[Sequence[CronStatus], datetime]:
        return await ledger.cron_statuses(app.name), to_datetime(await app.broker.time())

    return ask_ledger(app, "cron diff", question)


class NextRunFinder:
    """When an entry fires next, by the code or by what is registered.

    Args:
        app: Whose scheduler reads what is registered.
        now: The moment from which next runs are counted.
    """

    def __init__(self, app: Aarq, now: datetime) -> None:
        self._app, self._now = app, now

    def of_code(self, definition: CronDefinition) -> datetime | None:
        """Return the next run by the code, in the entry's zone; None when there is none."""
        runs = next_runs_of(self._app.crons[definition.name], self._now, 1).runs
        return runs[0].astimezone(zone_of(definition.tz)) if runs and definition.enabled else None

    def of_registered(self, definition: CronDefinition) -> datetime | None:
        """Return the next run by what is registered; None for schedules that are no expressions."""
        if not definition.enabled:
            return None
        try:
            schedule = self._app.scheduler.parse(definition.expression, tz=definition.tz)
            run = schedule.next_after(self._now)
        except Exception:  # text of an object of the user's own, or of another scheduler
            return None
        return run.astimezone(zone_of(definition.tz)) if run else None


def diff_lines(changes: CronDiff, ahead: NextRunFinder) -> Iterator[str]:
    """Yield what a deploy would change, one entry after the other."""
    for definition in changes.added:
        yield f"+ {_title(definition)}"
        yield from _next(ahead.of_code(definition))
    for old, new in changes.changed:
        yield f"~ {_title(new)}"
        for field, before, after in _differences(old, new):
            yield f"    {field:<10} {before} -> {after}"
        runs = ahead.of_registered(old), ahead.of_code(new)
        if runs[0] == runs[1]:
            yield from _next(runs[1])
        else:
            yield f"    {'next run':<10} {_when(runs[0])} -> {_when(runs[1])}"
    for definition in changes.removed:
        yield f"- {_title(definition)}"


def _title(definition: CronDefinition) -> str:
    return f"{definition.name} (queue {definition.queue}): {_timing(definition)}"


def _timing(definition: CronDefinition) -> str:
    return f"{definition.expression} [{definition.tz}]"


def _next(run: datetime | None) -> Iterator[str]:
    if run:
        yield f"    {'next run':<10} {format_time(run)}"


def _when(run: datetime | None) -> str:
    return format_time(run) if run else "none known"


def _differences(old: CronDefinition, new: CronDefinition) -> Iterator[tuple[str, str, str]]:
    """Yield what has changed of an entry: what it is, as registered, and as in the code."""
    pairs = [
        ("schedule", _timing(old), _timing(new)),
        ("kind", old.kind, new.kind),
        ("fires", firing_mode(old), firing_mode(new)),
        ("enabled", _yes(old.enabled), _yes(new.enabled)),
    ]
    policies = sorted({*old.options, *new.options})
    pairs += [(policy, old.options.get(policy, DEFAULT), new.options.get(policy, DEFAULT)) for policy in policies]
    return (pair for pair in pairs if pair[1] != pair[2])


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _summary(changes: CronDiff, app: str, count: int) -> str:
    if not changes:
        return f"nothing would change: the {count} cron entries of {app} are registered as they are"
    alike = count - len(changes.added) - len(changes.changed)
    return (
        f"a deploy of {app} adds {len(changes.added)}, changes {len(changes.changed)}, retires "
        f"{len(changes.removed)}, and leaves {alike} as they are"
    )


def _as_json(changes: CronDiff, ahead: NextRunFinder) -> dict[str, object]:
    return {
        "added": [_plain(new, ahead.of_code(new)) for new in changes.added],
        "changed": [
            {"before": _plain(old, ahead.of_registered(old)), "after": _plain(new, ahead.of_code(new))}
            for old, new in changes.changed
        ],
        "removed": [_plain(old, None) for old in changes.removed],
    }


def _plain(definition: CronDefinition, run: datetime | None) -> dict[str, object]:
    return {**msgspec.to_builtins(definition), "next": run.isoformat() if run else None}
