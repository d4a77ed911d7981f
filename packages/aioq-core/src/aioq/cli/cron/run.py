"""`aioq cron run`: fires an entry now."""

from __future__ import annotations

import argparse
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_entry, add_json, add_log_level
from aioq.cli.broker_access import check_workers_see_jobs, run_connected
from aioq.cli.changes import add_author, add_note, author_of, note_of
from aioq.cli.colors import Color
from aioq.cli.cron.manual import ManualRun, RunOutcome, note_firing
from aioq.cli.cron.tick_text import duration_text
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import find_entry, load_app
from aioq.cli.logs import configure_logging
from aioq.cli.output import print_err, print_json, print_out, redact
from aioq.cli.process import exit_if_threads_hang, note_earlier_threads
from aioq.cron import CronEntry
from aioq.cron.manual import enqueue_ticks, time_between_ticks
from aioq.errors import JobEnded, JobNotFound
from aioq.model.cron import TickReason
from aioq.model.job import NewJob
from aioq.serialization.failure import one_line

__all__ = ["register", "run"]


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "run",
        help="fire an entry now",
        description="Fire an entry now, even if it is paused. For a cron, call its function in this process, within "
        "the app's lifespan; for a schedule, enqueue a job.",
    )
    add_entry(parser)
    parser.add_argument("--wait", action="store_true", help="wait for the job of a schedule, and show its result")
    add_note(parser)
    add_author(parser)
    add_log_level(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fire an entry."""
    by, note = author_of(arguments), note_of(arguments)
    app = load_app(arguments.app)
    entry = find_entry(app, arguments.app, arguments.name)
    note_earlier_threads()
    configure_logging(arguments.log_level)
    if entry.job is not None:
        return _enqueue(app, entry, entry.job, by=by, note=note, wait=arguments.wait, as_json=arguments.json)
    if arguments.wait:
        raise CommandError(
            f"cron run: --wait is for schedules; {entry.name} is a cron, and the command always waits for its function"
        )
    return _call(app, entry, by=by, note=note, as_json=arguments.json)


def _call(app: Aarq, entry: CronEntry, *, by: str, note: str, as_json: bool) -> int:
    manual = ManualRun(app, entry, TickReason.BY_HAND, by=by)

    async def fire() -> RunOutcome:
        await note_firing(app, entry, "run", by=by, note=note)
        async with manual.ready():
            # The tick is this moment, which is none of the schedule's own: those fire all the same.
            return await manual.fire(manual.now())

    try:
        outcome = run_connected(app, fire)
    # A plain function runs on in its thread, and Python would wait for that.
    except KeyboardInterrupt:
        exit_if_threads_hang(Exit.INTERRUPTED)
        raise
    code = _print_outcome(entry, outcome, as_json=as_json)
    exit_if_threads_hang(code)
    return code


def _print_outcome(entry: CronEntry, outcome: RunOutcome, *, as_json: bool) -> int:
    record = outcome.record
    if as_json:
        print_json(_as_json(entry, str(record.status), value=outcome.value, error=record.error))
    elif outcome.error is None:
        print_out(f"{entry.name} {_returned(outcome.value)} after {duration_text(record)}")
    if outcome.error is None:
        return Exit.OK
    # In full, because no worker logs it.
    sys.stderr.write(redact("".join(traceback.format_exception(outcome.error))))
    print_err(f"{entry.name} failed after {duration_text(record)}: {record.error}", Color.RED)
    return Exit.FAILED


def _enqueue(app: Aarq, entry: CronEntry, template: NewJob, *, by: str, note: str, wait: bool, as_json: bool) -> int:
    check_workers_see_jobs(app, "cron run", entry.name)
    job_id = ""

    async def enqueue() -> Any:
        nonlocal job_id
        tick = time_between_ticks(entry, datetime.fromtimestamp(await app.broker.time(), UTC))
        (enqueued,) = await enqueue_ticks(app.broker, entry, template, [tick], reason=TickReason.BY_HAND, by=by)
        await note_firing(app, entry, "run", by=by, note=note)
        app.counts.add_enqueued([enqueued.job], [enqueued.new])
        job_id = enqueued.job.id
        if not as_json:
            print_out(f"{entry.name} is job {job_id} in queue {enqueued.job.queue}")
        return await app.tasks[template.task].job(job_id).result() if wait else None

    error = ""
    try:
        result = run_connected(app, enqueue)
    except (JobEnded, JobNotFound) as ended:
        result = None
        error = str(ended)
        print_err(error, Color.RED)
    if as_json:
        status = "failed" if error else "ok" if wait else "enqueued"
        print_json(_as_json(entry, status, job_id=job_id, value=result, error=error))
    elif wait and not error:
        print_out(f"{entry.name} {_returned(result)}")
    return Exit.FAILED if error else Exit.OK


def _as_json(
    entry: CronEntry, status: str, *, job_id: str | None = None, value: object, error: str
) -> dict[str, object]:
    return {
        "name": entry.name,
        "queue": entry.queue,
        "status": status,
        "job_id": job_id,
        "returned": None if value is None else repr(value),
        "error": error,
    }


def _returned(value: object) -> str:
    return "ended" if value is None else f"returned {one_line(repr(value))}"
