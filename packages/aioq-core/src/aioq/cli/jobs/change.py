"""`aioq jobs cancel` and `aioq jobs retry`: cancel a job, and let one run again."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.changes import add_author, add_note, author_of, note_change, note_of
from aioq.cli.colors import Color
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_target
from aioq.cli.jobs.find import add_job, check_job, find_job
from aioq.cli.output import print_err, print_json, print_out
from aioq.cli.times import format_time
from aioq.clock import stored_time
from aioq.handle import Job
from aioq.model.job import JobRecord
from aioq.model.states import JobState
from aioq.model.statistics import JobOutcome
from aioq.protocols import JobStore
from aioq.serialization.failure import one_line

__all__ = ["cancel", "register", "retry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What a command does to a job."""

    name: str
    done: str
    """What the job is if it was changed."""
    needs: str
    """What the job must be to be changed."""


CANCEL = Verb(name="cancel", done="cancelled", needs="only a job that has not ended can be cancelled")
RETRY = Verb(
    name="retry",
    done="due now",
    needs="only a failed, cancelled, dead or expired job, or one that waits for its retry, can be retried",
)


def register(commands: Commands) -> None:
    """Add the commands `cancel` and `retry` to the parser."""
    cancelling = commands.add_parser(
        "cancel",
        help="cancel a job, running or not",
        description="Cancel a job that has not ended. A running task is cancelled at its next await. The exit code is "
        f"{Exit.FAILED} if the job has ended.",
        allow_abbrev=False,
    )
    cancelling.set_defaults(run=cancel)
    retrying = commands.add_parser(
        "retry",
        help="let a job run again, or bring its retry forward",
        description="Put a failed, cancelled, dead or expired job back into its queue, with its attempts counted from "
        "0 again; or let a job that waits for its retry run now, as the same attempt. It is due now, behind other jobs "
        f"of its priority. The exit code is {Exit.FAILED} if the job is in another state.",
        allow_abbrev=False,
    )
    retrying.set_defaults(run=retry)
    for parser in (cancelling, retrying):
        add_job(parser)
        add_note(parser)
        add_author(parser)
        add_json(parser)


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel a job."""

    async def order(app: Aarq, record: JobRecord) -> bool:
        # The handle, because it tells the listeners of the app and the counts, too.
        handle = Job(
            record.id, task=record.task, queue=record.queue, broker=app.broker, decode=bytes, events=app.events
        )
        return await handle.cancel(by=author_of(arguments))

    return _change(arguments, CANCEL, order)


def retry(arguments: argparse.Namespace) -> int:
    """Let a job run again."""

    async def order(app: Aarq, record: JobRecord) -> bool:
        retried = await feature_of(app, JobStore, "jobs retry").retry_job(record.id, queue=record.queue)
        if retried and record.state is not JobState.RETRYING:
            app.counts.add(record.queue, record.task, JobOutcome.ENQUEUED)
        return retried

    return _change(arguments, RETRY, order)


def _change(arguments: argparse.Namespace, verb: Verb, order: Callable[[Aarq, JobRecord], Awaitable[bool]]) -> int:
    command = f"jobs {verb.name}"
    check_job(arguments, command)
    by, note = author_of(arguments), note_of(arguments)
    app = load_target(arguments.target, "jobs", arguments.namespace)

    async def run() -> tuple[JobRecord, bool]:
        record = await find_job(app, arguments, command)
        changed = await order(app, record)
        if changed:
            await note_change(app, by, verb.name, f"job {record.queue} {record.id}", note)
        # Read again: the state after the change, or the one that has prevented it.
        store = feature_of(app, JobStore, command)
        return await store.get_job(record.id, queue=record.queue) or record, changed

    record, changed = run_connected(app, run)
    if arguments.json:
        print_json({"id": record.id, "queue": record.queue, "state": str(record.state), "changed": changed})
    elif changed:
        print_out(one_line(f"job {record.id} of queue {record.queue} is {verb.done}"))
    else:
        print_err(f"{command}: job {record.id} of queue {record.queue} is {_state(record)}: {verb.needs}", Color.RED)
    return Exit.OK if changed else Exit.FAILED


def _state(record: JobRecord) -> str:
    if record.run_at is None or record.state is JobState.PENDING:
        return str(record.state)
    return f"{record.state}, due at {format_time(stored_time(record.run_at))}"
