"""`aioq tasks list`: shows the tasks of an app: how their jobs end and how long they run, and which are stopped."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json
from aioq.cli.broker_access import is_embedded, run_connected
from aioq.cli.colors import count_color
from aioq.cli.counted import NOT_KEPT, add_hours, check_hours, flow_as_json, percentile_text, read_flows
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import Column, Table, print_err, print_json, print_out, print_table
from aioq.cli.times import iso_time
from aioq.conformance import supports
from aioq.model.flow import Flow
from aioq.model.statistics import OTHERS, Count, JobOutcome
from aioq.model.stops import Stop
from aioq.protocols import QueueControl

__all__ = ["list_tasks", "register"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """A task in one queue."""

    queue: str
    task: str
    in_code: bool
    flow: Flow | None
    """None if the broker keeps no counts."""
    stop: Stop | None


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "list",
        help="show the tasks: how their jobs end, how long they run, and which are stopped",
        description="Show the tasks of an app, and those that the code no longer has but whose jobs were counted: how "
        "many jobs completed, failed and were retried in the latest hours, the mean duration of a run, the duration "
        "below which 95 % of the runs stayed, and which tasks are stopped.",
        epilog="example: aioq tasks list shop:app --hours 168",
        allow_abbrev=False,
    )
    add_app(parser)
    parser.add_argument("-q", "--queue", metavar="QUEUE", help="only tasks of this queue")
    add_hours(parser, 24)
    add_json(parser)
    parser.set_defaults(run=list_tasks)


def list_tasks(arguments: argparse.Namespace) -> int:
    """Show the tasks."""
    check_hours(arguments, "tasks list")
    app = load_app(arguments.app)
    # A memory broker is in another process, if there is one. The code can be read all the same.
    flows, stops = (None, ()) if is_embedded(app.broker) else run_connected(app, lambda: _ask(app, arguments))
    rows = [row for row in _rows(app, flows, stops) if arguments.queue in (None, row.queue)]
    if arguments.json:
        print_json([_as_json(row) for row in rows])
    elif rows:
        print_table(_table(rows))
    else:
        print_out("no tasks" if arguments.queue is None else f"no tasks in queue {arguments.queue}")
    if flows is None and not arguments.json:
        print_err(f"tasks list: {NOT_KEPT}")
    return Exit.OK


async def _ask(
    app: Aarq, arguments: argparse.Namespace
) -> tuple[Mapping[tuple[str, str], Flow] | None, Sequence[Stop]]:
    """Return how the jobs of each task flow, by queue and task, and what is stopped."""

    def key(count: Count) -> tuple[str, str]:
        return count.queue, count.task

    flows = await read_flows(app, key, hours=arguments.hours, queue=arguments.queue)
    return flows, await app.broker.list_stops() if supports(app.broker, QueueControl) else ()


def _rows(app: Aarq, flows: Mapping[tuple[str, str], Flow] | None, stops: Sequence[Stop]) -> list[TaskRow]:
    stopped = {(stop.queue, stop.task): stop for stop in stops if stop.task is not None}
    code = {(task.defaults.queue, task.name) for task in app.tasks}
    # What is counted as others has no name.
    found = sorted({*code, *(flows or {}), *stopped} - {(OTHERS, OTHERS)}, key=lambda pair: (pair[1], pair[0]))
    return [
        TaskRow(
            queue=queue,
            task=task,
            in_code=task in app.tasks,
            flow=None if flows is None else flows.get((queue, task), Flow()),
            stop=stopped.get((queue, task)),
        )
        for queue, task in found
    ]


def _table(rows: Sequence[TaskRow]) -> Table:
    counts = [Column("DONE"), Column("FAILED", color=count_color), *map(Column, ("RETRIED", "MEAN", "P95"))]
    columns = [Column("TASK", 14), Column("QUEUE", 7), *counts, Column("NOTE", 10)]
    return Table(columns, [_row(row) for row in rows])


def _row(row: TaskRow) -> list[str]:
    flow, notes = row.flow, list[str]()
    if row.stop is not None:
        notes.append(f"stopped by {row.stop.by}{f': {row.stop.note}' if row.stop.note else ''}")
    if not row.in_code:
        notes.append("not in the code")
    counts = ["", "", "", "", ""]
    if flow is not None:
        retried = flow.outcomes.get(JobOutcome.RETRIED, 0)
        durations = [percentile_text(flow.mean_duration), percentile_text(flow.duration_below(0.95))]
        counts = [f"{flow.completed:,}", f"{flow.failed:,}", f"{retried:,}", *durations]
    return [row.task, row.queue, *counts, ", ".join(notes)]


def _as_json(row: TaskRow) -> dict[str, object]:
    stop = row.stop
    return {
        "task": row.task,
        "queue": row.queue,
        "in_code": row.in_code,
        "flow": None if row.flow is None else flow_as_json(row.flow),
        "stopped": stop and {"by": stop.by, "since": iso_time(stop.since), "note": stop.note},
    }
