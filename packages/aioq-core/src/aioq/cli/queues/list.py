"""`aioq queues list`: shows the queues of a broker: their jobs, and what a person has stopped."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import Column, Table, print_err, print_json, print_out, print_table
from aioq.cli.times import format_time, iso_time
from aioq.clock import stored_time
from aioq.conformance import supports
from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.model.job import QueueStats
from aioq.model.stops import Stop
from aioq.protocols import JobStore, QueueControl

__all__ = ["list_queues", "register"]

COUNTS: Final = ("pending", "scheduled", "running", "dead", "expired")
"""The counts that are shown, as named in `QueueStats`."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "list",
        help="show the queues: their jobs, and what is paused or stopped",
        description="Show the queues of a broker: how many jobs are in each state, and which queues are paused and "
        "which tasks are stopped, by whom, since when and why.",
        allow_abbrev=False,
    )
    add_target(parser)
    add_json(parser)
    parser.set_defaults(run=list_queues)


def list_queues(arguments: argparse.Namespace) -> int:
    """Show the queues."""
    app = load_target(arguments.target, "queues", arguments.namespace)
    stats, stops, away = run_connected(app, lambda: _ask(app))
    queues = sorted({*stats, *(stop.queue for stop in stops), *(app.queues if app.tasks else ())} - away.keys())
    by_queue = {queue: [stop for stop in stops if stop.queue == queue] for queue in queues}
    if arguments.json:
        print_json([_as_json(queue, stats.get(queue), by_queue[queue]) for queue in queues])
    elif queues:
        print_table(_table(stats, by_queue))
    else:
        print_out("no queue has held a job yet")
    if away:
        print_err(f"queues list: some queues are left out: {PartlyUnavailable(away)}")
    return Exit.OK


async def _ask(app: Aarq) -> tuple[dict[str, QueueStats], list[Stop], dict[str, BrokerUnavailable]]:
    """Return the counts by queue, what is stopped, and the queues that cannot be reached."""
    away: dict[str, BrokerUnavailable] = {}
    stats: Sequence[QueueStats] = ()
    stops: list[Stop] = []
    try:
        stats = await feature_of(app, JobStore, "queues list").queue_stats()
    except PartlyUnavailable as error:
        stats, away = error.answer, dict(error.away)
    broker = app.broker
    if supports(broker, QueueControl):
        try:
            stops = await broker.list_stops()
        except PartlyUnavailable as error:
            stops = error.answer
    return {one.queue: one for one in stats}, stops, away


def _table(stats: Mapping[str, QueueStats], stops: Mapping[str, Sequence[Stop]]) -> Table:
    columns = [Column("QUEUE", 8), *(Column(name.upper()) for name in COUNTS), Column("STOPPED", 12)]
    rows = [
        [
            queue,
            *(f"{getattr(stats[queue], name):,}" if queue in stats else "0" for name in COUNTS),
            "\n".join(map(_stop_text, stops[queue])),
        ]
        for queue in stops
    ]
    return Table(columns, rows)


def _stop_text(stop: Stop) -> str:
    subject = "paused" if stop.task is None else f"{stop.task} stopped"
    since = format_time(stored_time(stop.since).replace(second=0, microsecond=0))
    return f"{subject} by {stop.by} at {since}{f': {stop.note}' if stop.note else ''}"


def _as_json(queue: str, stats: QueueStats | None, stops: Sequence[Stop]) -> dict[str, object]:
    pauses = [_stop_as_json(stop) for stop in stops if stop.task is None]
    return {
        "queue": queue,
        **{name: getattr(stats, name, 0) for name in COUNTS},
        "paused": pauses[0] if pauses else None,
        "stopped_tasks": [{"task": stop.task, **_stop_as_json(stop)} for stop in stops if stop.task is not None],
    }


def _stop_as_json(stop: Stop) -> dict[str, object]:
    return {"by": stop.by, "since": iso_time(stop.since), "note": stop.note}
