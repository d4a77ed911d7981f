"""The failures that a command changes: the options that choose them, their pages, and the record of the change."""

from __future__ import annotations

import argparse

from aioq.app import Aarq
from aioq.cli.changes import add_author, add_note, note_change
from aioq.cli.exit_codes import CommandError
from aioq.cli.jobs.failures import add_filters, groups_of
from aioq.model.changes import MAX_SUBJECT, MAX_TEXT
from aioq.model.failures import OTHER_CAUSES, FailureGroup

__all__ = ["add_choice", "check_choice", "chosen_groups", "note_failures"]


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add what chooses failures, and the reason and the author of the change."""
    add_filters(parser)
    parser.add_argument("--type", metavar="TYPE", help="only failures with an exception of this type")
    parser.add_argument("--place", metavar="PLACE", help="only failures of this place, as aioq jobs failures shows it")
    parser.add_argument("--error", metavar="TEXT", help="only failures whose id, task or error contains this text")
    parser.add_argument("--all", action="store_true", help="all failures, if no filter is given")
    add_note(parser)
    add_author(parser)


def check_choice(arguments: argparse.Namespace, command: str) -> None:
    """Check that the failures are chosen: a mistyped line must not change all of them.

    Raises:
        CommandError: There is neither a filter nor `--all`.
    """
    filters = (arguments.queue, arguments.task, arguments.type, arguments.place, arguments.error)
    if all(one is None for one in filters) and not arguments.all:
        raise CommandError(
            f"{command}: choose the failures with -q, --task, --type, --place or --error, or write --all"
        )


async def chosen_groups(app: Aarq, arguments: argparse.Namespace, command: str) -> list[FailureGroup]:
    """Return the groups that have the chosen failures."""
    groups = await groups_of(app, arguments, command)
    return [
        group
        for group in groups
        if arguments.type in (None, group.cause.type) and arguments.place in (None, group.cause.place)
    ]


async def note_failures(app: Aarq, what: str, group: FailureGroup, *, by: str, note: str) -> None:
    """Record what a person has done to failures of one cause: in the words of the dashboard, which does it, too."""
    cause = group.cause
    subject = f"queue {group.queue}" if cause == OTHER_CAUSES else f"task {group.queue} {cause.task}"
    await note_change(app, by, f"{what} of {cause.type or 'other causes'}"[:MAX_TEXT], subject[:MAX_SUBJECT], note)
