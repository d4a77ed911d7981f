"""`aioq jobs list`: lists jobs of all states, the newest first."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_count, add_json, add_target, count_of
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.colors import state_color
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import Column, Table, print_err, print_json, print_out, print_table
from aioq.cli.times import format_near, iso_time, parse_time
from aioq.clock import stored_time
from aioq.model.ids import check_name
from aioq.model.job import JobRecord
from aioq.model.states import JobState
from aioq.protocols import JobStore
from aioq.serialization.failure import in_full

__all__ = ["list_jobs", "register", "table_of"]

MOST_READ: Final = 10_000
"""Jobs of one state of one queue in which filters search."""

PAGE: Final = 500
"""Jobs of one look-up."""

MAX_COUNT: Final = 1_000

AGE: Final = re.compile(r"(\d{1,9})(s|min|h|d)")
UNITS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What jobs must have to be listed."""

    queue: str | None
    states: Sequence[JobState]
    task: str
    error: str
    since: float

    def matches(self, job: JobRecord) -> bool:
        """Return whether a job of the right queue and state has the rest."""
        return (
            self.task in ("", job.task)
            and self.error.casefold() in _error(job).casefold()
            and _latest(job) >= self.since
        )


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "list",
        help="list jobs, the newest first",
        description="List jobs of all states, the one to which something happened last first. In each queue and state "
        f"the command reads up to {MOST_READ:,} jobs as the broker lists them: waiting jobs in the order in which they "
        "will run, ended ones from the newest. It says so if there are more.",
        allow_abbrev=False,
    )
    add_target(parser)
    parser.add_argument("-q", "--queue", metavar="QUEUE", help="only jobs of this queue")
    parser.add_argument("--task", metavar="TASK", default="", help="only jobs of this task")
    parser.add_argument(
        "--state", metavar="STATE", action="append", choices=[str(state) for state in JobState],
        help=f"only jobs in this state, may be repeated: {', '.join(JobState)}",
    )  # fmt: skip
    parser.add_argument(
        "--since", metavar="TIME", help="only jobs to which something happened since a time in ISO 8601, or in the "
        "latest 30s, 15min, 2h or 7d",
    )  # fmt: skip
    parser.add_argument("--error", metavar="TEXT", default="", help="only jobs whose error contains this text")
    add_count(parser, "jobs", 20)
    add_json(parser)
    parser.set_defaults(run=list_jobs)


def list_jobs(arguments: argparse.Namespace) -> int:
    """List jobs."""
    count = count_of(arguments, "jobs list", MAX_COUNT)
    _check(arguments)
    app = load_target(arguments.target, "jobs", arguments.namespace)
    jobs, cut, now = run_connected(app, lambda: _ask(app, arguments))
    if arguments.json:
        print_json([_as_json(job) for job in jobs[:count]])
    elif jobs:
        print_table(table_of(jobs[:count], now=now))
    else:
        print_out("no jobs" if not cut else "no jobs were found")
    if len(jobs) > count:
        print_err(f"jobs list: {len(jobs) - count:,} more jobs match; show more with -n, up to {MAX_COUNT:,}")
    if cut:
        print_err(f"jobs list: only the first {MOST_READ:,} jobs were read of {', '.join(cut)}")
    return Exit.OK


def _check(arguments: argparse.Namespace) -> None:
    try:
        if arguments.queue is not None:
            check_name("queue", arguments.queue)
    except ValueError as error:
        raise CommandError(f"jobs list: {error}") from None
    # Before the broker is asked.
    _since(arguments.since, 0.0)


def _since(text: str | None, now: float) -> float:
    """Return the moment that `--since` names; with an age, seen from `now`."""
    if text is None:
        return float("-inf")
    if age := AGE.fullmatch(text):
        return now - int(age[1]) * UNITS[age[2]]
    return parse_time("jobs list: --since", text, UTC).timestamp()


async def _ask(app: Aarq, arguments: argparse.Namespace) -> tuple[list[JobRecord], list[str], float]:
    """Return the jobs that match, the newest first; which states were not read to their end; and the broker's time."""
    store, now = feature_of(app, JobStore, "jobs list"), await app.broker.time()
    wanted = Filter(
        queue=arguments.queue,
        states=[state for state in JobState if arguments.state is None or state in arguments.state],
        task=arguments.task,
        error=arguments.error,
        since=_since(arguments.since, now),
    )
    queues = [wanted.queue] if wanted.queue else [stats.queue for stats in await store.queue_stats()]
    found: list[JobRecord] = []
    cut: list[str] = []
    for queue in queues:
        for state in wanted.states:
            matching, ended = await _read(store, queue, state, wanted)
            found += matching
            cut += [] if ended else [f"{state} in queue {queue}"]
    return sorted(found, key=_latest, reverse=True), cut, now


async def _read(store: JobStore, queue: str, state: JobState, wanted: Filter) -> tuple[list[JobRecord], bool]:
    """Return the matching jobs of a queue in a state, and whether all of its jobs were read."""
    found: list[JobRecord] = []
    for offset in range(0, MOST_READ, PAGE):
        page = await store.list_jobs(queue, state, limit=PAGE, offset=offset)
        # Not if it is shorter than asked for: jobs that have left the state meanwhile are not in it.
        if not page:
            return found, True
        found += filter(wanted.matches, page)
    return found, not await store.list_jobs(queue, state, limit=1, offset=MOST_READ)


def _latest(job: JobRecord) -> float:
    """Return when something happened to a job last."""
    return max(job.enqueued_at, job.started_at or 0.0, job.finished_at or 0.0)


def _error(job: JobRecord) -> str:
    if job.failure is not None:
        return in_full(job.failure)
    return job.reason or ""


def table_of(jobs: Sequence[JobRecord], *, now: float) -> Table:
    """Return the table of jobs."""
    columns = [
        Column("ID", 21),
        Column("QUEUE", 6),
        Column("TASK", 9, keep_end=True),
        Column("STATE", color=state_color),
        Column("AT"),
        Column("ERROR", 8),
    ]
    moment = stored_time(now)
    return Table(columns, [_row(job, moment) for job in jobs])


def _row(job: JobRecord, now: datetime) -> list[str]:
    at = format_near(stored_time(_latest(job)).replace(microsecond=0), now)
    return [job.id, job.queue, job.task, str(job.state), at, _error(job)]


def _as_json(job: JobRecord) -> dict[str, object]:
    failure = job.failure
    return {
        "id": job.id,
        "queue": job.queue,
        "task": job.task,
        "state": str(job.state),
        "reason": job.reason,
        "priority": job.priority,
        "attempt": job.attempt,
        "enqueued_at": iso_time(job.enqueued_at),
        "run_at": iso_time(job.run_at),
        "started_at": iso_time(job.started_at),
        "finished_at": iso_time(job.finished_at),
        "worker_id": job.worker_id,
        "failure": failure and {"type": failure.type, "message": failure.message, "place": failure.place},
    }
