"""`aioq workers`: shows the workers that are up."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.colors import Color, count_color
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import Column, Table, print_json, print_out, print_table
from aioq.cli.times import format_duration, iso_time
from aioq.model.workers import MAX_RUNS, RunInfo, WorkerInfo, weighted_names
from aioq.protocols import WorkerRegistry

__all__ = ["register", "workers"]


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "workers",
        help="show the workers that are up",
        description="Show the workers that are up: which queues they consume, how many of their slots are in use or "
        "stuck, for how long they have been up, how much memory they occupy, and for how long their event loop did not "
        "answer.",
        allow_abbrev=False,
    )
    add_target(parser)
    parser.add_argument("-q", "--queue", metavar="QUEUE", help="only workers that consume this queue")
    parser.add_argument("--runs", action="store_true", help="show the jobs that they run, and since when")
    add_json(parser)
    parser.set_defaults(run=workers)


def workers(arguments: argparse.Namespace) -> int:
    """Show the workers."""
    app = load_target(arguments.target, "workers", arguments.namespace)
    found, time = run_connected(app, lambda: _ask(app))
    chosen = [worker for worker in found if arguments.queue is None or arguments.queue in worker.queues]
    if arguments.json:
        print_json([_as_json(worker) for worker in chosen])
    elif chosen and arguments.runs:
        _print_runs(chosen, time)
    elif chosen:
        print_table(_table(chosen, time))
    else:
        print_out("no worker is up" if arguments.queue is None else f"no worker of queue {arguments.queue} is up")
    return Exit.OK


async def _ask(app: Aarq) -> tuple[list[WorkerInfo], float]:
    """Return the workers, and the time of the broker, whose clock they are told by."""
    return await feature_of(app, WorkerRegistry, "workers").list_workers(), await app.broker.time()


def _table(workers: Sequence[WorkerInfo], now: float) -> Table:
    columns = [
        Column("ID", 12),
        Column("APP", 6),
        Column("QUEUES", 10),
        Column("RUNNING"),
        Column("STUCK", color=count_color),
        Column("UP FOR"),
        Column("MEMORY"),
        Column("LAG"),
    ]
    rows = [
        [
            worker.id,
            worker.app,
            ", ".join(weighted_names(worker.queues, worker.weights)),
            f"{worker.running}/{worker.concurrency}",
            str(worker.stuck),
            # The clock of its host may be ahead of the broker's.
            format_duration(max(0.0, now - worker.started_at)),
            "" if worker.memory is None else f"{worker.memory / 2**20:,.0f} MiB",
            "" if worker.loop_lag is None else format_duration(worker.loop_lag),
        ]
        for worker in workers
    ]
    return Table(columns, rows)


def _print_runs(workers: Sequence[WorkerInfo], now: float) -> None:
    """Print the jobs that workers run, and how many are left out."""
    columns = [
        Column("WORKER", 12),
        Column("TASK", 12),
        Column("JOB", 12),
        Column("ATTEMPT"),
        Column("RUNS FOR", color=_stuck_color),
    ]
    rows = [
        [worker.id, run.task, run.job_id, str(run.attempt), _runs_for(run, now)]
        for worker in workers
        for run in worker.runs
    ]
    if rows:
        print_table(Table(columns, rows))
    left_out = sum(worker.running - len(worker.runs) for worker in workers if len(worker.runs) == MAX_RUNS)
    if left_out > 0:
        print_out(f"and {left_out:,} more: a worker reports its {MAX_RUNS} oldest")
    elif not rows:
        print_out("no job ran at the last heartbeats")


def _stuck_color(text: str) -> Color | None:
    return Color.RED if text.endswith("stuck") else None


def _runs_for(run: RunInfo, now: float) -> str:
    return f"{format_duration(max(0.0, now - run.since))}{', stuck' if run.stuck else ''}"


def _run_as_json(run: RunInfo) -> dict[str, object]:
    return {
        "job_id": run.job_id,
        "queue": run.queue,
        "task": run.task,
        "attempt": run.attempt,
        "since": iso_time(run.since),
        "stuck": run.stuck,
    }


def _as_json(worker: WorkerInfo) -> dict[str, object]:
    return {
        "id": worker.id,
        "app": worker.app,
        "hostname": worker.hostname,
        "pid": worker.pid,
        "queues": list(worker.queues),
        "all_queues": worker.all_queues,
        "weights": dict(zip(worker.queues, worker.weights, strict=False)) if worker.weights else None,
        "slots": worker.concurrency,
        "running": worker.running,
        "stuck": worker.stuck,
        "memory": worker.memory,
        "loop_lag": worker.loop_lag,
        "version": worker.version,
        "runs": [_run_as_json(run) for run in worker.runs],
        "started_at": iso_time(worker.started_at),
        "tasks": [task.name for task in worker.tasks],
        "tasks_left_out": worker.tasks_left_out,
    }
