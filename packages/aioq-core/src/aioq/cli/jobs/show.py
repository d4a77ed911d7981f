"""`aioq jobs show`: shows a job, even if its payload or its result cannot be decoded."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json
from aioq.cli.broker_access import run_connected
from aioq.cli.colors import Color, painted, state_color
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_target
from aioq.cli.jobs.find import add_job, check_job, find_job
from aioq.cli.output import out_has_color, print_json, print_out
from aioq.cli.times import format_time, iso_time
from aioq.clock import stored_time
from aioq.conformance import supports
from aioq.model.changes import MAX_SUBJECT, Change
from aioq.model.job import Attempt, Failure, JobRecord
from aioq.model.states import JobState
from aioq.model.waiting import Condition, conditions_of
from aioq.protocols import ChangeLog, QueueControl, WorkerRegistry
from aioq.serialization.failure import in_full, one_line

__all__ = ["escaped", "register", "show"]

MAX_CHANGES: Final = 20
"""Changes of a job that are shown."""

MAX_SHOWN: Final = 4096
"""Characters of a payload or a result that are shown, and bytes that are decoded for it."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "show",
        help="show everything that is stored for a job",
        description="Show everything that is stored for a job, including its arguments and its result: escaped, each "
        f"on one line of at most {MAX_SHOWN:,} characters.",
    )
    add_job(parser)
    add_json(parser)
    parser.set_defaults(run=show)


def show(arguments: argparse.Namespace) -> int:
    """Show a job."""
    check_job(arguments, "jobs show")
    app = load_target(arguments.target, "jobs", arguments.namespace)
    record, conditions, changes = run_connected(app, partial(_look, app, arguments))
    if arguments.json:
        parts = {
            "conditions": [_condition_as_json(condition) for condition in conditions],
            "changes": [_change_as_json(change) for change in changes],
        }
        print_json(job_as_json(record) | parts)
    else:
        for name, text in (*_lines(record, conditions), *_lines_of_changes(changes)):
            print_out(_painted_line(name, text) if out_has_color() else f"{name:<10}{text}")
    return Exit.OK


async def _look(app: Aarq, arguments: argparse.Namespace) -> tuple[JobRecord, list[Condition], list[Change]]:
    """Return the job, what it waits for, and what persons have done to it, as far as the broker can tell."""
    record, now = await find_job(app, arguments, "jobs show"), await app.broker.time()
    stops = await app.broker.list_stops() if supports(app.broker, QueueControl) else None
    workers = await app.broker.list_workers() if supports(app.broker, WorkerRegistry) else None
    conditions = conditions_of(record, now=now, stops=stops, workers=workers)
    subject = f"job {record.queue} {record.id}"[:MAX_SUBJECT]
    log = app.broker if supports(app.broker, ChangeLog) else None
    changes = await log.list_changes(limit=MAX_CHANGES, subject=subject) if log else []
    return record, conditions, changes


def escaped(data: bytes) -> str:
    """Return bytes as one line of text: unprintable characters are escaped, and long data is cut."""
    # Cut first: a payload may have hundreds of megabytes.
    text = data[:MAX_SHOWN].decode("utf-8", "backslashreplace")
    return one_line(text if len(data) <= MAX_SHOWN else f"{text}...", MAX_SHOWN)


def job_as_json(record: JobRecord) -> dict[str, object]:
    """Return a job for `--json`, with its payload and its result as escaped text."""
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
        "hand_backs": record.hand_backs,
        "enqueued_at": iso_time(record.enqueued_at),
        "run_at": iso_time(record.run_at),
        "started_at": iso_time(record.started_at),
        "finished_at": iso_time(record.finished_at),
        "worker_id": record.worker_id,
        "headers": dict(record.headers or {}),
        "payload": escaped(record.payload),
        "payload_bytes": len(record.payload),
        "result": None if record.result is None else escaped(record.result),
        "result_bytes": None if record.result is None else len(record.result),
        "failure": failure and {**_failure_as_json(failure), "traceback": failure.traceback},
        "attempts": [_attempt_as_json(attempt) for attempt in record.attempts],
    }


def _condition_as_json(condition: Condition) -> dict[str, object]:
    kind, until = str(condition.kind), iso_time(condition.until)
    return {"kind": kind, "met": condition.met, "text": condition.text, "until": until}


def _change_as_json(change: Change) -> dict[str, object]:
    return {"at": iso_time(change.at), "by": change.by, "what": change.what, "note": change.note}


def _failure_as_json(failure: Failure) -> dict[str, object]:
    return {"type": failure.type, "message": failure.message, "place": failure.place}


def _attempt_as_json(attempt: Attempt) -> dict[str, object]:
    return {
        "number": attempt.number,
        "worker_id": attempt.worker_id,
        "started_at": iso_time(attempt.started_at),
        "duration": attempt.duration,
        "outcome": str(attempt.outcome),
        "failure": attempt.failure and _failure_as_json(attempt.failure),
    }


def _painted_line(name: str, text: str) -> str:
    """Return a line with its name in bold, and with the colour of a state or a failure."""
    color = Color.RED if name == "failure" else state_color(text) if name == "state" else None
    return f"{painted(name, Color.BOLD)}{' ' * (10 - len(name))}{painted(text, color)}"


def _lines(record: JobRecord, conditions: Sequence[Condition]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a name and a text; the lines of a traceback have no name."""
    state = f"{record.state}: {record.reason}" if record.reason else str(record.state)
    yield "id", one_line(record.id)
    yield "queue", one_line(record.queue)
    yield "task", one_line(record.task)
    yield "state", one_line(state)
    yield from _lines_of_conditions(conditions)
    yield "priority", str(record.priority)
    yield "attempt", f"{record.attempt}{f', hand-backs {record.hand_backs}' if record.hand_backs else ''}"
    yield "crashes", str(record.crashes)
    times = {
        "enqueued": record.enqueued_at,
        "due": record.run_at,
        "started": record.started_at,
        "finished": record.finished_at,
    }
    yield from ((name, format_time(stored_time(time))) for name, time in times.items() if time is not None)
    if record.worker_id is not None:
        yield "worker", one_line(record.worker_id)
    yield from _timeline(record)
    for title, header in zip(chain(["headers"], repeat("")), (record.headers or {}).items(), strict=False):
        yield title, one_line(": ".join(header))
    yield "payload", f"{len(record.payload):,} bytes: {escaped(record.payload)}"
    if record.result is not None:
        yield "result", f"{len(record.result):,} bytes: {escaped(record.result)}"
    if record.failure is not None:
        yield "failure", in_full(record.failure)
        if record.failure.place:
            yield "place", one_line(record.failure.place)
        yield from (("", one_line(line)) for line in record.failure.traceback.splitlines())


def _lines_of_conditions(conditions: Sequence[Condition]) -> Iterator[tuple[str, str]]:
    """Yield a line for each condition that is not met or not known, and one for the others."""
    names = chain(["waits for"], repeat(""))
    for condition in conditions:
        if not condition.met:
            doubt = "" if condition.met is False else "perhaps: "
            due = "" if condition.until is None else f" That is at {format_time(stored_time(condition.until))}."
            yield next(names), one_line(f"{doubt}{condition.text}{due}")
    if conditions and all(condition.met for condition in conditions):
        yield next(names), "nothing: a worker is about to claim it"


def _lines_of_changes(changes: Sequence[Change]) -> Iterator[tuple[str, str]]:
    for name, change in zip(chain(["changes"], repeat("")), changes, strict=False):
        note = f": {change.note}" if change.note else ""
        yield name, one_line(f"{format_time(stored_time(change.at))}  {change.what} by {change.by}{note}")


def _timeline(record: JobRecord) -> Iterator[tuple[str, str]]:
    """Yield two lines for each attempt: how it ended, and on which worker and why."""
    name = "attempts"
    for attempt in record.attempts:
        start, outcome = format_time(stored_time(attempt.started_at)), attempt.outcome.replace("_", " ")
        yield name, f"{attempt.number}  {start}  {outcome} after {attempt.duration:.3g} s"
        yield "", one_line(f"   {attempt.worker_id}{_why(attempt)}")
        name = ""
    if record.state is JobState.RUNNING and record.started_at is not None:
        yield name, f"{record.attempt}  {format_time(stored_time(record.started_at))}  running"


def _why(attempt: Attempt) -> str:
    if attempt.failure is None:
        return ""
    place = f" in {attempt.failure.place}" if attempt.failure.place else ""
    return f": {in_full(attempt.failure)}{place}"
