"""`aioq queues pause` and `aioq queues resume`: pause a queue, and resume it."""

from __future__ import annotations

import argparse

from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.changes import add_author, add_note, author_of, note_change, note_of
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import print_json, print_out
from aioq.model.ids import check_name
from aioq.protocols import QueueControl

__all__ = ["pause", "register", "resume"]


def register(commands: Commands) -> None:
    """Add the commands `pause` and `resume` to the parser."""
    pausing = commands.add_parser(
        "pause",
        help="pause a queue until it is resumed",
        description="Pause a queue until it is resumed: from now on no worker claims a job of it. Running jobs go on, "
        "and new jobs wait.",
        allow_abbrev=False,
    )
    _add_queue(pausing)
    pausing.add_argument("--note", metavar="TEXT", help="the reason, shown by aioq queues list")
    add_author(pausing)
    add_json(pausing)
    pausing.set_defaults(run=pause)
    resuming = commands.add_parser(
        "resume",
        help="resume a paused queue",
        description="Resume a paused queue. Workers that wait claim its jobs at once, in their order.",
        allow_abbrev=False,
    )
    _add_queue(resuming)
    add_note(resuming)
    add_author(resuming)
    add_json(resuming)
    resuming.set_defaults(run=resume)


def pause(arguments: argparse.Namespace) -> int:
    """Pause a queue."""
    queue, by, note = _queue_of(arguments), author_of(arguments), note_of(arguments)
    app = load_target(arguments.target, "queues", arguments.namespace)

    async def order() -> bool:
        changed = await feature_of(app, QueueControl, "queues pause").pause_queue(queue, note=note, by=by)
        await note_change(app, by, "pause", f"queue {queue}", note)
        return changed

    changed = run_connected(app, order)
    if arguments.json:
        print_json({"queue": queue, "paused": True, "changed": changed, "note": note, "by": by})
    elif changed:
        print_out(f"queue {queue} is paused; to resume it: aioq queues resume {arguments.target} {queue}")
    else:
        print_out(f"queue {queue} was already paused; its note is now: {note or 'none'}")
    return Exit.OK


def resume(arguments: argparse.Namespace) -> int:
    """Resume a queue."""
    queue, by, note = _queue_of(arguments), author_of(arguments), note_of(arguments)
    app = load_target(arguments.target, "queues", arguments.namespace)

    async def order() -> bool:
        changed = await feature_of(app, QueueControl, "queues resume").resume_queue(queue)
        if changed:
            await note_change(app, by, "resume", f"queue {queue}", note)
        return changed

    changed = run_connected(app, order)
    if arguments.json:
        print_json({"queue": queue, "paused": False, "changed": changed})
    else:
        print_out(f"queue {queue} {'is resumed' if changed else 'was not paused'}")
    return Exit.OK


def _add_queue(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("name", metavar="QUEUE", help="the queue")


def _queue_of(arguments: argparse.Namespace) -> str:
    try:
        return check_name("queue", arguments.name)
    except ValueError as error:
        raise CommandError(f"queues: {error}") from None
