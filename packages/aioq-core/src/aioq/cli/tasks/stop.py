"""`aioq tasks stop` and `aioq tasks restore`: stop a task, and restore it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_json
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.changes import add_author, add_note, author_of, note_change, note_of
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_json, print_out
from aioq.model.ids import check_name
from aioq.protocols import QueueControl

__all__ = ["register", "restore", "stop"]


def register(commands: Commands) -> None:
    """Add the commands `stop` and `restore` to the parser."""
    stopping = commands.add_parser(
        "stop",
        help="stop a task until it is restored",
        description="Stop a task until it is restored: from now on no worker claims a job of it. Its running jobs go "
        "on, its other jobs wait, and hold up no job of another task.",
        allow_abbrev=False,
    )
    _add_task(stopping, "the queue in which to stop it; that of the task in the code by default")
    stopping.add_argument("--note", metavar="TEXT", help="the reason, shown by aioq queues list")
    add_author(stopping)
    add_json(stopping)
    stopping.set_defaults(run=stop)
    restoring = commands.add_parser(
        "restore",
        help="restore a stopped task",
        description="Restore a stopped task. Workers claim the jobs that have waited in the order of their priorities "
        "and ages, in front of younger ones.",
        allow_abbrev=False,
    )
    _add_task(restoring, "the queue in which to restore it; all by default")
    add_note(restoring)
    add_author(restoring)
    add_json(restoring)
    restoring.set_defaults(run=restore)


def stop(arguments: argparse.Namespace) -> int:
    """Stop a task."""
    by, note = author_of(arguments), note_of(arguments)
    app = load_app(arguments.app)
    task, queue = _task_of(arguments, "stop"), _queue_of(app, arguments)

    async def order() -> bool:
        changed = await feature_of(app, QueueControl, "tasks stop").stop_task(task, queue=queue, note=note, by=by)
        await note_change(app, by, "stop", f"task {queue} {task}", note)
        return changed

    changed = run_connected(app, order)
    if arguments.json:
        print_json({"task": task, "queue": queue, "stopped": True, "changed": changed, "note": note, "by": by})
    elif changed:
        print_out(
            f"{task} is stopped in queue {queue}; to restore it: aioq tasks restore {arguments.app} {task}"
        )  # fmt: skip
    else:
        print_out(f"{task} was already stopped in queue {queue}; its note is now: {note or 'none'}")
    return Exit.OK


def restore(arguments: argparse.Namespace) -> int:
    """Restore a task."""
    by, note = author_of(arguments), note_of(arguments)
    app = load_app(arguments.app)
    task = _task_of(arguments, "restore")

    async def order() -> Sequence[str]:
        control = feature_of(app, QueueControl, "tasks restore")
        known = [one.queue for one in await control.list_stops() if one.task == task]
        queues = [queue for queue in known if arguments.queue in (None, queue)]
        restored = [queue for queue in queues if await control.restore_task(task, queue=queue)]
        for queue in restored:
            await note_change(app, by, "restore", f"task {queue} {task}", note)
        return restored

    restored = run_connected(app, order)
    if arguments.json:
        print_json({"task": task, "queues": list(restored), "stopped": False, "changed": bool(restored)})
    elif restored:
        print_out(f"{task} is restored in queue {', '.join(restored)}")
    else:
        print_out(f"{task} was not stopped")
    return Exit.OK


def _add_task(parser: argparse.ArgumentParser, queue: str) -> None:
    add_app(parser)
    parser.add_argument("name", metavar="TASK", help="the name of the task")
    parser.add_argument("-q", "--queue", metavar="QUEUE", help=queue)


def _task_of(arguments: argparse.Namespace, command: str) -> str:
    try:
        if arguments.queue is not None:
            check_name("queue", arguments.queue)
        return check_name("name", arguments.name)
    except ValueError as error:
        raise CommandError(f"tasks {command}: {error}") from None


def _queue_of(app: Aarq, arguments: argparse.Namespace) -> str:
    """Return the queue of a task."""
    if arguments.queue is not None:
        return str(arguments.queue)
    if arguments.name not in app.tasks:
        raise CommandError(
            f"tasks stop: app {arguments.app} has no task {arguments.name}; name one of its tasks, or, with -q, the "
            "queue of a task that it had"
        )
    return app.tasks[arguments.name].defaults.queue
