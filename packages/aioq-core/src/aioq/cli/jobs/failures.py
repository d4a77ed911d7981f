"""`aioq jobs failures`: lists the causes of failures, with how often and since when each occurred."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.colors import count_color
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import Column, Table, print_json, print_out, print_table
from aioq.cli.times import format_near, iso_time
from aioq.clock import stored_time
from aioq.model.failures import OTHER_CAUSES, FailureGroup
from aioq.model.ids import check_name
from aioq.protocols import Failures, JobStore

__all__ = ["add_filters", "groups_of", "register"]


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "failures",
        help="list failures by cause",
        description="List the jobs that failed, are dead or expired, and were neither replayed nor dismissed: one line "
        "for each cause, which is the task, the type of the exception, and the function in which it was raised. "
        "aioq jobs failures dismiss takes failures off the list.",
        allow_abbrev=False,
    )
    add_target(parser)
    add_filters(parser)
    add_json(parser)
    parser.set_defaults(run=failures)


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add what narrows the failures down."""
    parser.add_argument("-q", "--queue", metavar="QUEUE", help="only failures of this queue")
    parser.add_argument("--task", metavar="TASK", help="only failures of this task")


def failures(arguments: argparse.Namespace) -> int:
    """List failures by cause."""
    app = load_target(arguments.target, "jobs", arguments.namespace)

    async def ask() -> tuple[list[FailureGroup], float]:
        return await groups_of(app, arguments, "jobs failures"), await app.broker.time()

    groups, time = run_connected(app, ask)
    if arguments.json:
        print_json([_as_json(group) for group in groups])
    elif groups:
        print_table(_table(groups, datetime.fromtimestamp(time, UTC)))
    else:
        print_out("no failures")
    return Exit.OK


async def groups_of(app: Aarq, arguments: argparse.Namespace, command: str) -> list[FailureGroup]:
    """Return the groups that a command is about, the one with the newest failure first."""
    store, jobs = feature_of(app, Failures, command), feature_of(app, JobStore, command)
    if arguments.queue is not None:
        try:
            queues = [check_name("queue", arguments.queue)]
        except ValueError as error:
            raise CommandError(f"{command}: {error}") from None
    else:
        queues = [stats.queue for stats in await jobs.queue_stats() if stats.failures]
    groups = [group for queue in queues for group in await store.failure_groups(queue)]
    chosen = [group for group in groups if arguments.task in (None, group.cause.task)]
    return sorted(chosen, key=lambda group: group.last, reverse=True)


def _table(groups: Sequence[FailureGroup], now: datetime) -> Table:
    columns = [
        Column("count", color=count_color),
        Column("task", least=10, keep_end=True),
        Column("exception", least=10),
        Column("place", least=10, keep_end=True),
        Column("first"),
        Column("last"),
    ]
    return Table(columns, [_row(group, now) for group in groups])


def _row(group: FailureGroup, now: datetime) -> list[str]:
    cause = group.cause
    names = ("(others)", "", "") if cause == OTHER_CAUSES else (cause.task, cause.type, cause.place)
    moments = (stored_time(moment).replace(microsecond=0) for moment in (group.first, group.last))
    return [f"{group.count:,}", *names, *(format_near(moment, now) for moment in moments)]


def _as_json(group: FailureGroup) -> dict[str, object]:
    cause, sample = group.cause, group.sample
    return {
        "queue": group.queue,
        "task": cause.task,
        "type": cause.type,
        "place": cause.place,
        "count": group.count,
        "first": iso_time(group.first),
        "last": iso_time(group.last),
        "job_id": sample.job_id,
        "failure_id": sample.failure_id,
        "state": str(sample.state),
        "message": sample.failure.message if sample.failure else None,
    }
