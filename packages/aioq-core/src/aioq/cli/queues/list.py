"""`aioq queues list`: shows the queues of a broker: their jobs, how these flow, and what a person has stopped."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.colors import Color, count_color
from aioq.cli.counted import NOT_KEPT, flow_as_json, percentile_text, read_flows
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import Column, Table, print_err, print_json, print_out, print_table
from aioq.cli.times import format_duration, format_time, iso_time
from aioq.clock import stored_time
from aioq.conformance import supports
from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.model.flow import Flow
from aioq.model.job import QueueStats
from aioq.model.states import JobState
from aioq.model.stops import Stop
from aioq.protocols import JobStore, QueueControl
from aioq.serialization.failure import one_line

__all__ = ["list_queues", "register"]

COUNTS: Final = ("pending", "scheduled", "running", "dead", "expired")
"""The counts of `--json`, as named in `QueueStats`; the table leaves out the last one."""

HOURS: Final = 2
"""The hours of the percentiles: the running one may just have begun."""

MAX_ASKED: Final = 200
"""Queues whose oldest job is looked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLook:
    """What a broker says of its queues."""

    stats: Mapping[str, QueueStats]
    stops: Sequence[Stop] = ()
    flows: Mapping[str, Flow] | None = None
    """None if the broker keeps no counts."""
    waited: Mapping[str, float] = field(default_factory=dict[str, float])
    """For how many seconds the next job of a queue has been due."""
    away: Mapping[str, BrokerUnavailable] = field(default_factory=dict[str, BrokerUnavailable])
    """The queues that cannot be reached."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "list",
        help="show the queues: their jobs, how these flow, and what is paused or stopped",
        description="Show the queues of a broker: how many jobs are in each state, for how long the next job has been "
        "due, how many jobs end a minute (the mean of the latest five), the wait below which 95 % of the jobs of the "
        "latest two hours stayed, which queues are paused and which tasks are stopped, by whom, since when and why.",
        allow_abbrev=False,
    )
    add_target(parser)
    add_json(parser)
    parser.set_defaults(run=list_queues)


def list_queues(arguments: argparse.Namespace) -> int:
    """Show the queues."""
    app = load_target(arguments.target, "queues", arguments.namespace)
    look = run_connected(app, lambda: _ask(app))
    known = {*look.stats, *(stop.queue for stop in look.stops), *(app.queues if app.tasks else ())}
    queues = sorted(known - look.away.keys())
    if arguments.json:
        print_json([_as_json(queue, look) for queue in queues])
    elif queues:
        print_table(_table(queues, look))
        for stop in look.stops:
            print_out(f"{_subject(stop)} {_stop_text(stop)}", Color.YELLOW)
        if look.flows is None:
            print_err(f"queues list: {NOT_KEPT}")
    else:
        print_out("no queue has held a job yet")
    if look.away:
        print_err(f"queues list: some queues are left out: {PartlyUnavailable(look.away)}")
    return Exit.OK


async def _ask(app: Aarq) -> QueueLook:
    """Return what the broker of the connected app says of its queues."""
    away: dict[str, BrokerUnavailable] = {}
    store = feature_of(app, JobStore, "queues list")
    try:
        found: Sequence[QueueStats] = await store.queue_stats()
    except PartlyUnavailable as error:
        found, away = error.answer, dict(error.away)
    stats = {one.queue: one for one in found}
    return QueueLook(
        stats=stats,
        stops=await _stops(app),
        flows=await read_flows(app, attrgetter("queue"), hours=HOURS),
        waited=await _waited(app, store, stats),
        away=away,
    )


async def _stops(app: Aarq) -> list[Stop]:
    if not supports(app.broker, QueueControl):
        return []
    try:
        return await app.broker.list_stops()
    except PartlyUnavailable as error:
        stops: list[Stop] = error.answer
        return stops


async def _waited(app: Aarq, store: JobStore, stats: Mapping[str, QueueStats]) -> dict[str, float]:
    """Return for how long the next job of each queue has been due; of many queues that of the first."""
    now, found = await app.broker.time(), dict[str, float]()
    for queue in [queue for queue, one in stats.items() if one.pending][:MAX_ASKED]:
        for job in await store.list_jobs(queue, JobState.PENDING, limit=1):
            found[queue] = max(0.0, now - max(job.run_at or 0.0, job.enqueued_at))
    return found


def _table(queues: Sequence[str], look: QueueLook) -> Table:
    counts = [Column(name.upper(), color=count_color if name == "dead" else None) for name in COUNTS[:-1]]
    columns = [Column("QUEUE", 8), *counts, *map(Column, ("OLDEST", "A MINUTE", "P95 WAIT"))]
    return Table(columns, [_row(queue, look) for queue in queues])


def _row(queue: str, look: QueueLook) -> list[str]:
    stats, flow = look.stats.get(queue), (look.flows or {}).get(queue, Flow())
    return [
        queue,
        *(f"{getattr(stats, name, 0):,}" for name in COUNTS[:-1]),
        format_duration(look.waited[queue]) if queue in look.waited else "-",
        "" if look.flows is None else f"{flow.ended:,.1f}",
        "" if look.flows is None else percentile_text(flow.wait_below(0.95)),
    ]


def _subject(stop: Stop) -> str:
    return f"queue {stop.queue} is paused" if stop.task is None else f"{stop.task} is stopped in queue {stop.queue}"


def _stop_text(stop: Stop) -> str:
    since = format_time(stored_time(stop.since).replace(second=0, microsecond=0))
    return one_line(f"by {stop.by} at {since}{f': {stop.note}' if stop.note else ''}")


def _as_json(queue: str, look: QueueLook) -> dict[str, object]:
    stops = [stop for stop in look.stops if stop.queue == queue]
    pauses = [_stop_as_json(stop) for stop in stops if stop.task is None]
    return {
        "queue": queue,
        **{name: getattr(look.stats.get(queue), name, 0) for name in COUNTS},
        "oldest_seconds": look.waited.get(queue),
        "flow": None if look.flows is None else flow_as_json(look.flows.get(queue, Flow())),
        "paused": pauses[0] if pauses else None,
        "stopped_tasks": [{"task": stop.task, **_stop_as_json(stop)} for stop in stops if stop.task is not None],
    }


def _stop_as_json(stop: Stop) -> dict[str, object]:
    return {"by": stop.by, "since": iso_time(stop.since), "note": stop.note}
