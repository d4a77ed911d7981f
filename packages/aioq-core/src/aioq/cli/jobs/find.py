"""Finds the job that a command is about by its id."""

from __future__ import annotations

import argparse

from aioq.app import Aarq
from aioq.cli.arguments import add_target
from aioq.cli.broker_access import feature_of
from aioq.cli.exit_codes import CommandError, Exit
from aioq.model.ids import check_name
from aioq.model.job import JobRecord
from aioq.protocols import JobStore

__all__ = ["add_job", "check_job", "find_job"]


def add_job(parser: argparse.ArgumentParser) -> None:
    """Add a broker, and the id and the queue of one of its jobs."""
    add_target(parser)
    parser.add_argument("id", metavar="ID", help="the id of the job")
    parser.add_argument("-q", "--queue", metavar="QUEUE", help="the queue of the job; searches all queues by default")


def check_job(arguments: argparse.Namespace, command: str) -> None:
    """Reject an id or a queue that no job can have.

    Raises:
        CommandError: The command names one.
    """
    try:
        arguments.id.encode()
        if arguments.queue is not None:
            check_name("queue", arguments.queue)
    except UnicodeEncodeError:
        raise CommandError(f"{command}: {arguments.id!r} is not the id of a job") from None
    except ValueError as error:
        raise CommandError(f"{command}: {error}") from None


async def find_job(app: Aarq, arguments: argparse.Namespace, command: str) -> JobRecord:
    """Return the job; without a queue the only one of all queues, because ids are unique within a queue only.

    Raises:
        CommandError: The broker has no such job, or several queues have one.
    """
    store = feature_of(app, JobStore, command)
    queues = [stats.queue for stats in await store.queue_stats()] if arguments.queue is None else [arguments.queue]
    found = [record for queue in queues if (record := await store.get_job(arguments.id, queue=queue))]
    if not found:
        raise CommandError(
            f"{command}: the broker has no job {arguments.id}: it was never enqueued, or its record has expired; "
            "or the app uses another broker, namespace or queue",
            Exit.FAILED,
        )
    if len(found) > 1:
        names = ", ".join(record.queue for record in found)
        raise CommandError(f"{command}: the queues {names} have a job {arguments.id} each; choose one with -q")
    return found[0]
