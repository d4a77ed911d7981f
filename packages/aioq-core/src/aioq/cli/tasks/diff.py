"""`aioq tasks diff`: shows what a deploy of this code would break for jobs of the release that runs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json, add_timeout, timeout_of
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.colors import Color
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_err, print_json, print_out
from aioq.model.workers import WorkerInfo
from aioq.protocols import WorkerRegistry
from aioq.serialization.failure import one_line
from aioq.task_changes import Change, breaking_changes, describe_tasks, unconsumed_queues

__all__ = ["diff", "register"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The code, compared with the running workers of its app."""

    app: str
    workers: Sequence[WorkerInfo]
    changes: Sequence[Change]
    queues: Sequence[str]
    """Queues that no worker would consume."""
    registered: int
    """The number of tasks that the workers have registered."""

    @property
    def breaks(self) -> bool:
        """Whether a deploy would break something."""
        return bool(self.changes or self.queues)


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "diff",
        help="show what a deploy would break; exit code 1 if anything",
        description="Compare the tasks of this code with those that the running workers of the app have registered. "
        f"The exit code is {Exit.OK} if the code can run all their jobs, and {Exit.FAILED} if a task or parameter was "
        "removed, a parameter without a default was added, a type was changed, or no worker would consume a queue. It "
        f"is {Exit.FAILED}, too, if no worker of the app is up, because there is nothing to compare with.",
    )
    add_app(parser)
    add_timeout(parser, 5.0)
    add_json(parser)
    parser.set_defaults(run=diff)


def diff(arguments: argparse.Namespace) -> int:
    """Show what a deploy would break."""
    timeout = timeout_of(arguments, "tasks diff")
    app = load_app(arguments.app)
    comparison = _compare(app, _workers_of(app, timeout))
    if arguments.json:
        print_json(_as_json(comparison))
    elif comparison.workers:
        *broken, summary = _lines(comparison)
        for line in broken:
            print_out(line)
        print_out(summary, Color.RED if comparison.breaks else Color.GREEN)
    # Also with --json: stderr is what a failed step leaves in the log of a pipeline.
    if not comparison.workers:
        print_err(
            f"tasks diff: no worker of app {app.name} is up, so there is nothing to compare with; if workers are up, "
            "their app has another name or broker: set the name with Aarq(name=...)"
        )
    if left_out := sum(worker.tasks_left_out for worker in comparison.workers):
        print_err(f"tasks diff: {left_out} tasks were not compared: the workers have too many to register them all")
    return Exit.FAILED if comparison.breaks or not comparison.workers else Exit.OK


def _workers_of(app: Aarq, timeout: float) -> list[WorkerInfo]:
    workers = run_connected(app, lambda: feature_of(app, WorkerRegistry, "tasks diff").list_workers(), timeout=timeout)
    return [worker for worker in workers if worker.app == app.name]


def _compare(app: Aarq, workers: Sequence[WorkerInfo]) -> Comparison:
    code = describe_tasks(app.tasks)
    # Many workers run the same release.
    registered = list(dict.fromkeys(task for worker in workers for task in worker.tasks))
    described = {task.name for task in code}
    # The description of the code may be cut, too: what is in the code was not removed.
    known = [task for task in registered if task.name in described or task.name not in app.tasks]
    return Comparison(
        app=app.name,
        workers=workers,
        changes=breaking_changes(known, code),
        queues=unconsumed_queues(workers, code, app.queues) if workers else [],
        registered=len({task.name for task in registered}),
    )


def _lines(comparison: Comparison) -> Iterator[str]:
    for change in comparison.changes:
        yield f"{one_line(change.task, 200)} (queue {one_line(change.queue, 64)}): {_text(change)}"
    for queue in comparison.queues:
        yield f"queue {one_line(queue, 64)}: no worker would consume it; start one with -q, or without any -q"
    workers = _count(len(comparison.workers), "running worker")
    if comparison.breaks:
        broken = len({change.task for change in comparison.changes})
        queues = _count(len(comparison.queues), "queue")
        yield (
            f"a deploy of {comparison.app} would break {broken} of {comparison.registered} tasks of {workers}, and "
            f"leave {queues} without a worker"
        )
    else:
        yield f"a deploy of {comparison.app} would break nothing: the code can run all tasks of {workers}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _text(change: Change) -> str:
    name = one_line(change.parameter, 200)
    match change.kind:
        case "parameter added":
            return f"parameter {name} added, without a default"
        case "default removed":
            return f"parameter {name} has no default any more"
        case "type changed":
            return f"type of {name} changed: {one_line(change.before, 200)} -> {one_line(change.after, 200)}"
        case "parameter removed":
            return f"parameter {name} removed"
        case _:
            return change.kind


def _as_json(comparison: Comparison) -> dict[str, object]:
    return {
        "app": comparison.app,
        "workers": len(comparison.workers),
        "tasks": comparison.registered,
        "breaks": [
            {
                "kind": change.kind,
                "task": change.task,
                "queue": change.queue,
                "parameter": change.parameter or None,
                "before": change.before or None,
                "after": change.after or None,
            }
            for change in comparison.changes
        ],
        "unconsumed_queues": list(comparison.queues),
        "tasks_not_compared": sum(worker.tasks_left_out for worker in comparison.workers),
    }
