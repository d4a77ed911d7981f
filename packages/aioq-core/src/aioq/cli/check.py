"""`aioq check`: a health probe for the crons of an app."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json, add_timeout, timeout_of
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_err, print_json, print_out
from aioq.cli.times import format_duration, format_time
from aioq.clock import stored_time
from aioq.conformance import supports
from aioq.cron.overview import EntryOverview, entry_overviews
from aioq.cron.zones import zone_named
from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.model.cron import CronStatus
from aioq.protocols import TickLedger, WorkerRegistry

__all__ = ["check", "register"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the broker knows at one time."""

    now: datetime
    statuses: Sequence[CronStatus]
    workers: int | None
    """Workers that are up, of any app; None if the broker has no registry of workers."""
    stuck: int = 0
    """Slots of these workers whose tasks ignore their timeout or cancellation."""
    away: Mapping[str, BrokerUnavailable]
    """The queues that cannot be reached, and why: their entries cannot be checked."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="check that an app's crons fire, for health probes",
        description=f"Exit with {Exit.OK} if no cron of the app is overdue, with {Exit.FAILED} if one is overdue or "
        f"none is registered, and with {Exit.UNAVAILABLE} if the broker cannot be reached. A paused or disabled entry "
        "is never overdue. Entries of queues that cannot be reached while others can are named and not checked.",
    )
    add_app(parser)
    add_timeout(parser, 5.0)
    add_json(parser)
    parser.set_defaults(run=check)


def check(arguments: argparse.Namespace) -> int:
    """Check that an app's crons fire."""
    timeout = timeout_of(arguments, "check")
    app = load_app(arguments.app)
    snapshot = _ask(app, timeout)
    # An entry that this code lacks may be retired by the next deploy, or belong to one that is under way.
    overviews = [
        one
        for one in entry_overviews(app.crons, snapshot.statuses, snapshot.now)
        if one.in_code and one.definition.queue not in snapshot.away
    ]
    problems = [overdue_line(one, one.overdue, snapshot.now) for one in overviews if one.overdue]
    if _none_registered(overviews):
        problems.append(unregistered_line(app.name, len(overviews)))
    if arguments.json:
        print_json(_as_json(overviews, snapshot))
    elif not problems:
        print_out(healthy_line(overviews, snapshot.workers, snapshot.stuck))
    if snapshot.away:
        print_err(f"check: entries of some queues were not checked: {PartlyUnavailable(snapshot.away)}")
    # Also with --json: stderr is what a failed probe leaves in the log of its platform.
    for line in problems:
        print_err(f"check: {line}")
    return Exit.FAILED if problems else Exit.OK


def _ask(app: Aarq, timeout: float) -> Snapshot:
    async def question() -> Snapshot:
        ledger = feature_of(app, TickLedger, "check")
        # For the message only: a worker of another app counts, too.
        registry = app.broker
        workers = await registry.list_workers() if supports(registry, WorkerRegistry) else None
        away: Mapping[str, BrokerUnavailable] = {}
        try:
            statuses = await ledger.cron_statuses(app.name)
        except PartlyUnavailable as error:
            statuses, away = error.answer, error.away
        return Snapshot(
            away=away,
            now=datetime.fromtimestamp(await app.broker.time(), UTC),
            statuses=statuses,
            workers=None if workers is None else len(workers),
            stuck=sum(worker.stuck for worker in workers or ()),
        )

    return run_connected(app, question, timeout=timeout)


def _none_registered(overviews: Sequence[EntryOverview]) -> bool:
    """Return whether entries should fire and none is registered: then none can be overdue."""
    return any(one.definition.enabled for one in overviews) and not any(one.status for one in overviews)


def unregistered_line(app: str, entries: int) -> str:
    """Return the problem if no entry of an app is registered."""
    return (
        f"none of the {entries} entries of app {app} is registered with the broker: no worker of the app has started "
        "yet, or the workers' app has another name or broker; start a worker, or set the name with Aarq(name=...)"
    )


def healthy_line(overviews: Sequence[EntryOverview], workers: int | None, stuck: int) -> str:
    """Return the line to print if there is no problem; it counts the entries that cannot be overdue."""
    statuses = [one.status for one in overviews if one.status]
    groups = {
        "paused": sum(status.pause is not None for status in statuses),
        "retired": sum(status.retired_at is not None for status in statuses),
        "disabled": sum(not one.definition.enabled for one in overviews),
        "not registered": len(overviews) - len(statuses),
    }
    parts = [
        f"none of {len(overviews)} entries is overdue",
        *(f"{count} {name}" for name, count in groups.items() if count),
    ]
    up = "" if workers is None else f"; {workers} worker{'' if workers == 1 else 's'} up"
    return f"ok: {', '.join(parts)}{up}{f', {stuck_text(stuck)}' if stuck else ''}"


def stuck_text(stuck: int) -> str:
    """Return the number of stuck slots in words."""
    return f"{stuck} slot{' is' if stuck == 1 else 's are'} stuck: their tasks ignore their timeout or cancellation"


def overdue_line(overview: EntryOverview, tick: datetime, now: datetime) -> str:
    """Return the problem of an overdue entry: the tick without a record, and the latest record."""
    definition = overview.definition
    zone = zone_named(definition.tz)
    last = overview.status.last if overview.status else None
    latest = f"the latest one is {last.status} at {format_time(stored_time(last.tick, zone))}" if last else "none is"
    ago = format_duration((now - tick).total_seconds())
    return (
        f"{definition.name} is overdue: its tick of {format_time(tick.astimezone(zone))}, {ago} ago, is not recorded, "
        f"and {latest}; is a worker for queue {definition.queue} up?"
    )


def _as_json(overviews: Sequence[EntryOverview], snapshot: Snapshot) -> dict[str, object]:
    overdue = [
        {
            "name": one.definition.name,
            "queue": one.definition.queue,
            "tick": one.overdue.astimezone(zone_named(one.definition.tz)).isoformat(),
            "seconds": round((snapshot.now - one.overdue).total_seconds(), 3),
        }
        for one in overviews
        if one.overdue
    ]
    return {
        "ok": not overdue and not _none_registered(overviews),
        "entries": len(overviews),
        "registered": sum(one.status is not None for one in overviews),
        "workers": snapshot.workers,
        "stuck": snapshot.stuck,
        "overdue": overdue,
        "queues_away": sorted(snapshot.away),
    }
