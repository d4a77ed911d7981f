"""`aioq check`: whether an app's crons fire, as an exit code for health probes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json, add_timeout, timeout_of
from aioq.cli.broker_access import ledger_of, run_connected
from aioq.cli.cron.overview import EntryOverview, entry_overviews
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_err, print_json, print_out
from aioq.cli.times import format_duration, format_time, to_datetime, zone_of
from aioq.model.cron import CronStatus
from aioq.protocols import WorkerRegistry

__all__ = ["check", "register"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the broker says at a moment."""

    now: datetime
    statuses: Sequence[CronStatus]
    workers: int | None
    """Workers that are up, of any app; None when the broker keeps no count."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="tell by the exit code whether an app's crons fire",
        description=f"Exit with {Exit.OK} when every cron of the app has fired that should have, with {Exit.FAILED} "
        f"when one is overdue or none is registered, and with {Exit.UNAVAILABLE} when the broker cannot be reached. "
        "What is paused or disabled owes nothing. For health probes.",
        allow_abbrev=False,
    )
    add_app(parser)
    add_timeout(parser, 5.0)
    add_json(parser)
    parser.set_defaults(run=check)


def check(arguments: argparse.Namespace) -> int:
    """Tell whether an app's crons fire."""
    patience = timeout_of(arguments, "check")
    app = load_app(arguments.app)
    seen = _look(app, patience)
    facts = [fact for fact in entry_overviews(app.crons, seen.statuses, seen.now) if fact.in_code]
    wrong = [overdue_line(fact, fact.overdue, seen.now) for fact in facts if fact.overdue]
    if _unheard_of(facts):
        wrong.append(unheard_line(app.name, len(facts)))
    if arguments.json:
        print_json(_as_json(facts, seen))
    elif not wrong:
        print_out(healthy(facts, seen.workers))
    for line in wrong:
        print_err(f"check: {line}")
    return Exit.FAILED if wrong else Exit.OK


def _look(app: Aarq, patience: float) -> Seen:
    ledger = ledger_of(app, "check")

    async def question() -> Seen:
        workers = len(await app.broker.list_workers()) if isinstance(app.broker, WorkerRegistry) else None
        statuses = await ledger.cron_statuses(app.name)
        return Seen(now=to_datetime(await app.broker.time()), statuses=statuses, workers=workers)

    return run_connected(app, question, patience=patience)


def _unheard_of(facts: Sequence[EntryOverview]) -> bool:
    """Say whether entries should fire, and none at all is registered: then none of them can be overdue."""
    return any(fact.definition.enabled for fact in facts) and not any(fact.status for fact in facts)


def unheard_line(app: str, entries: int) -> str:
    """Return what is wrong when the broker knows no entry of an app."""
    return (
        f"none of the {entries} entries of app {app} is registered with the broker: no worker of it has started yet, "
        f"or workers know it by another name or broker; start one, or name the app with Aarq(name=...)"
    )


def healthy(facts: Sequence[EntryOverview], workers: int | None) -> str:
    """Return the line that says that all is well, and of what nothing can be said."""
    statuses = [fact.status for fact in facts if fact.status]
    groups = {
        "paused": sum(status.pause is not None for status in statuses),
        "retired": sum(status.retired_at is not None for status in statuses),
        "disabled": sum(not fact.definition.enabled for fact in facts),
        "not registered": len(facts) - len(statuses),
    }
    parts = [
        f"none of {len(facts)} entries is overdue",
        *(f"{count} {name}" for name, count in groups.items() if count),
    ]
    up = "" if workers is None else f"; {workers} worker{'' if workers == 1 else 's'} up"
    return f"ok: {', '.join(parts)}{up}"


def overdue_line(fact: EntryOverview, tick: datetime, now: datetime) -> str:
    """Return what is wrong with an entry: which tick it owes, since when, and what was seen last."""
    definition, zone = fact.definition, zone_of(fact.definition.tz)
    last = fact.status.last if fact.status else None
    seen = (
        f"its latest is {last.status} at {format_time(to_datetime(last.tick, zone))}" if last else "it has none at all"
    )
    return (
        f"{definition.name} is overdue: nothing is recorded of its tick of {format_time(tick.astimezone(zone))}, "
        f"{format_duration((now - tick).total_seconds())} ago, and {seen}; is a worker for queue {definition.queue} up?"
    )


def _as_json(facts: Sequence[EntryOverview], seen: Seen) -> dict[str, object]:
    overdue = [
        {
            "name": fact.definition.name,
            "queue": fact.definition.queue,
            "tick": fact.overdue.astimezone(zone_of(fact.definition.tz)).isoformat(),
            "seconds": round((seen.now - fact.overdue).total_seconds(), 3),
        }
        for fact in facts
        if fact.overdue
    ]
    return {
        "ok": not overdue and not _unheard_of(facts),
        "entries": len(facts),
        "registered": sum(fact.status is not None for fact in facts),
        "workers": seen.workers,
        "overdue": overdue,
    }
