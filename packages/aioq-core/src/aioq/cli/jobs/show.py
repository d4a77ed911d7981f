"""`aioq jobs show`: all that a broker knows of one job, whatever bytes it was made of."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import run_connected, store_of
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import app_at
from aioq.cli.output import print_json, print_out
from aioq.cli.times import format_time, iso_time, to_datetime
from aioq.model.job import JobRecord
from aioq.serialization.failure import in_full, one_line

__all__ = ["escaped", "register", "show"]

MOST_SHOWN = 4096
"""Characters that are shown of a payload or a result, and bytes of it that are looked at."""


def register(verbs: Commands) -> None:
    """Add the command to the parser."""
    parser = verbs.add_parser(
        "show",
        help="show all that is known of a job",
        description="Show all that is known of a job, its arguments and its result included: escaped, each on one line "
        f"of at most {MOST_SHOWN:,} characters.",
        allow_abbrev=False,
    )
    add_target(parser)
    parser.add_argument("id", metavar="ID", help="the job")
    parser.add_argument("-q", "--queue", metavar="QUEUE", help="where to look; in all queues by default")
    add_json(parser)
    parser.set_defaults(run=show)


def show(arguments: argparse.Namespace) -> int:
    """Show a job."""
    app = app_at(arguments.target, "jobs")
    store = store_of(app, "jobs show")
    record = run_connected(app, lambda: store.get_job(arguments.id, queue=arguments.queue))
    if record is None:
        raise CommandError(
            f"jobs show: nothing is known of job {arguments.id}: it was never enqueued, or is kept no longer; "
            f"the name of the app's broker, its namespace and the queue must be right, too",
            Exit.FAILED,
        )
    if arguments.json:
        print_json(as_json(record))
    else:
        for name, text in _lines(record):
            print_out(f"{name:<10}{text}")
    return Exit.OK


def escaped(data: bytes) -> str:
    """Return bytes as one line of text: what cannot be printed is escaped, and what is too much is cut."""
    text = data[:MOST_SHOWN].decode("utf-8", "backslashreplace")
    return one_line(text if len(data) <= MOST_SHOWN else f"{text}...", MOST_SHOWN)


def as_json(record: JobRecord) -> dict[str, object]:
    """Return a job for programs; its payload and its result as they are shown to persons."""
    failure = record.failure
    return {
        "id": record.id,
        "queue": record.queue,
        "task": record.task,
        "state": str(record.state),
        "reason": record.reason,
        "priority": record.priority,
        "attempt": record.attempt,
        "crashes": record.crashes,
        "enqueued_at": iso_time(record.enqueued_at),
        "run_at": iso_time(record.run_at),
        "started_at": iso_time(record.started_at),
        "finished_at": iso_time(record.finished_at),
        "worker_id": record.worker_id,
        "payload": escaped(record.payload),
        "payload_bytes": len(record.payload),
        "result": None if record.result is None else escaped(record.result),
        "result_bytes": None if record.result is None else len(record.result),
        "failure": failure and {"type": failure.type, "message": failure.message, "traceback": failure.traceback},
    }


def _lines(record: JobRecord) -> Iterator[tuple[str, str]]:
    """Yield what is known, name by name, each on a line; a traceback has several."""
    state = f"{record.state}: {record.reason}" if record.reason else str(record.state)
    yield from (("id", one_line(record.id)), ("queue", record.queue), ("task", one_line(record.task)))
    yield from (("state", one_line(state)), ("priority", str(record.priority)), ("attempt", str(record.attempt)))
    yield "crashes", str(record.crashes)
    moments = {
        "enqueued": record.enqueued_at,
        "due": record.run_at,
        "started": record.started_at,
        "finished": record.finished_at,
    }
    yield from ((name, format_time(to_datetime(moment))) for name, moment in moments.items() if moment is not None)
    if record.worker_id is not None:
        yield "worker", one_line(record.worker_id)
    yield "payload", f"{len(record.payload):,} bytes: {escaped(record.payload)}"
    if record.result is not None:
        yield "result", f"{len(record.result):,} bytes: {escaped(record.result)}"
    if record.failure is not None:
        yield "failure", in_full(record.failure)
        yield from (("", one_line(line)) for line in record.failure.traceback.splitlines())
