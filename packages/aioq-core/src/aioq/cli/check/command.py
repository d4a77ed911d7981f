"""Asks the broker for what a health probe needs, and prints what is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json, add_timeout, timeout_of
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.check.findings import Finding, Limits, Snapshot, find_all
from aioq.cli.colors import Color
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_err, print_json, print_out
from aioq.conformance import supports
from aioq.cron.overview import EntryOverview, entry_overviews
from aioq.cron.zones import zone_named
from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.model.job import JobRecord, QueueStats
from aioq.model.states import JobState
from aioq.model.stops import Stop
from aioq.protocols import Failures, JobStore, QueueControl, TickLedger, WorkerRegistry

__all__ = ["check", "register"]

LOOKED_AT: Final = 100
"""Due jobs of a queue among which the oldest is looked for: those that run next."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="check that an app's crons fire and its jobs run, for health probes",
        description="Check that the crons of an app fire, and that workers consume its queues. Each finding is a line "
        f"on stderr, and the exit code is that of the first one: {Exit.FAILED} for a cron that is overdue, or if none "
        f"is registered, {Exit.NOT_CONSUMED} for a queue without a worker, {Exit.TOO_FEW_WORKERS}, {Exit.TOO_LATE} and "
        f"{Exit.TOO_MANY_FAILURES} for --workers, --max-latency and --max-failures, {Exit.UNAVAILABLE} if the broker "
        "cannot be reached. Queues that cannot be reached while others can are named and not checked.",
    )
    add_app(parser)
    parser.add_argument(
        "-q", "--queue", dest="queues", action="append", metavar="QUEUE",
        help="check this queue only; may be given several times; all queues of the app by default",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="N", help="fail if fewer workers of the app are up")
    parser.add_argument("--max-latency", type=float, metavar="SECONDS", help="fail if a job is due for longer")
    parser.add_argument("--max-failures", type=int, metavar="N", help="fail if more failures are listed")
    add_timeout(parser, 5.0)
    add_json(parser)
    parser.set_defaults(run=check)


def check(arguments: argparse.Namespace) -> int:
    """Check an app."""
    timeout, limits = timeout_of(arguments, "check"), _limits(arguments)
    app = load_app(arguments.app)
    snapshot = run_connected(app, lambda: _ask(app, arguments.queues, limits), timeout=timeout)
    findings = find_all(snapshot, limits)
    if arguments.json:
        print_json(_as_json(snapshot, findings))
    elif not findings:
        print_out(_healthy_line(snapshot), Color.GREEN)
    if snapshot.away:
        print_err(f"check: some queues were not checked: {PartlyUnavailable(snapshot.away)}")
    # Also with --json: stderr is what a failed probe leaves in the log of its platform.
    for finding in findings:
        print_err(f"check: {finding.text}", Color.RED)
    return findings[0].code if findings else Exit.OK


def _limits(arguments: argparse.Namespace) -> Limits:
    """Return the limits.

    Raises:
        CommandError: One is negative or no number.
    """
    limits = Limits(workers=arguments.workers, latency=arguments.max_latency, failures=arguments.max_failures)
    for option, value in (
        ("--workers", limits.workers),
        ("--max-latency", limits.latency),
        ("--max-failures", limits.failures),
    ):
        if value is not None and not 0 <= value < float("inf"):  # NaN compares false with everything
            raise CommandError(f"check: {option} must be 0 or more, got {value:g}")
    return limits


async def _ask(app: Aarq, queues: Sequence[str] | None, limits: Limits) -> Snapshot:
    ledger = feature_of(app, TickLedger, "check")
    # An option that the broker cannot serve is an error. Without it, what the broker does not know is not checked.
    if limits.workers is not None:
        feature_of(app, WorkerRegistry, "check --workers")
    if limits.latency is not None:
        feature_of(app, JobStore, "check --max-latency")
    if limits.failures is not None:
        feature_of(app, Failures, "check --max-failures")
    chosen = list(dict.fromkeys(queues)) if queues else list(app.queues)
    away: dict[str, BrokerUnavailable] = {}
    registry = app.broker
    workers = await registry.list_workers() if supports(registry, WorkerRegistry) else None
    try:
        statuses = await ledger.cron_statuses(app.name)
    except PartlyUnavailable as error:
        statuses = error.answer
        away |= error.away
    now = datetime.fromtimestamp(await app.broker.time(), UTC)
    # An entry that this code lacks may be retired by the next deploy, or belong to one that is under way.
    entries = [
        one
        for one in entry_overviews(app.crons, statuses, now)
        if one.in_code and one.definition.queue not in away and one.definition.queue in chosen
    ]
    stats = await _stats(app, away)
    due = await _due(app, [queue for queue in chosen if stats.get(queue)]) if limits.latency is not None else []
    return Snapshot(
        app=app.name,
        queues=[queue for queue in chosen if queue not in away],
        now=now,
        entries=entries,
        workers=workers,
        stats=stats,
        due=due,
        stops=await _stops(app, chosen),
        away={queue: error for queue, error in away.items() if queue in chosen},
    )


async def _stats(app: Aarq, away: dict[str, BrokerUnavailable]) -> dict[str, QueueStats]:
    """Return the counts by queue, and add the queues that cannot be reached to `away`."""
    broker = app.broker
    if not supports(broker, JobStore):
        return {}
    try:
        stats = await broker.queue_stats()
    except PartlyUnavailable as error:
        stats = error.answer
        away |= error.away
    return {one.queue: one for one in stats}


async def _due(app: Aarq, queues: Sequence[str]) -> list[JobRecord]:
    store = feature_of(app, JobStore, "check --max-latency")
    return [job for queue in queues for job in await store.list_jobs(queue, JobState.PENDING, limit=LOOKED_AT)]


async def _stops(app: Aarq, queues: Sequence[str]) -> list[Stop]:
    broker = app.broker
    if not supports(broker, QueueControl):
        return []
    try:
        stops = await broker.list_stops()
    except PartlyUnavailable as error:
        stops = error.answer
    return [stop for stop in stops if stop.queue in queues]


def _healthy_line(snapshot: Snapshot) -> str:
    """Return the line to print if there is no finding; it counts what cannot be overdue, and what is stopped."""
    statuses = [one.status for one in snapshot.entries if one.status]
    groups = {
        "paused": sum(status.pause is not None for status in statuses),
        "retired": sum(status.retired_at is not None for status in statuses),
        "disabled": sum(not one.definition.enabled for one in snapshot.entries),
        "not registered": len(snapshot.entries) - len(statuses),
    }
    parts = [
        f"none of {len(snapshot.entries)} entries is overdue",
        *(f"{count} {name}" for name, count in groups.items() if count),
    ]
    workers = snapshot.workers
    up = "" if workers is None else f"; {len(workers)} worker{'' if len(workers) == 1 else 's'} up"
    stuck = _stuck(snapshot)
    stopped = "".join(map(_stop_text, snapshot.stops))
    return f"ok: {', '.join(parts)}{up}{f', {_stuck_text(stuck)}' if stuck else ''}{stopped}"


def _stop_text(stop: Stop) -> str:
    what = f"queue {stop.queue} is paused"
    if stop.task is not None:
        what = f"task {stop.task} is stopped in queue {stop.queue}"
    return f"; {what} by {stop.by}"


def _stuck(snapshot: Snapshot) -> int:
    return sum(worker.stuck for worker in snapshot.workers or ())


def _stuck_text(stuck: int) -> str:
    return f"{stuck} slot{' is' if stuck == 1 else 's are'} stuck: their tasks ignore their timeout or cancellation"


def _as_json(snapshot: Snapshot, findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "ok": not findings,
        "entries": len(snapshot.entries),
        "registered": sum(one.status is not None for one in snapshot.entries),
        "workers": None if snapshot.workers is None else len(snapshot.workers),
        "stuck": _stuck(snapshot),
        "overdue": [_overdue_as_json(one, one.overdue, snapshot.now) for one in snapshot.entries if one.overdue],
        "stopped": [
            {"queue": stop.queue, "task": stop.task, "by": stop.by, "note": stop.note} for stop in snapshot.stops
        ],
        "queues_away": sorted(snapshot.away),
        "findings": [{"kind": finding.kind, "text": finding.text} for finding in findings],
    }


def _overdue_as_json(overview: EntryOverview, tick: datetime, now: datetime) -> dict[str, object]:
    definition = overview.definition
    return {
        "name": definition.name,
        "queue": definition.queue,
        "tick": tick.astimezone(zone_named(definition.tz)).isoformat(),
        "seconds": round((now - tick).total_seconds(), 3),
    }
