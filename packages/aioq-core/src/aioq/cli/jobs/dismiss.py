"""`aioq jobs failures dismiss`: takes failures off the list."""

from __future__ import annotations

import argparse
from typing import Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.changes import add_author, author_of, note_of
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_target
from aioq.cli.jobs.failures import add_filters, groups_of, note_failures
from aioq.cli.output import print_json, print_out
from aioq.model.failures import FailureGroup
from aioq.protocols import Failures

__all__ = ["register"]

PAGE: Final = 1000
"""Failures that are dismissed in one step."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "dismiss",
        help="take failures off the list",
        description="Take the failures of a cause off the list, or those of a task, or all with --all. The records of "
        "the jobs stay as long as they would without the list.",
        allow_abbrev=False,
    )
    add_target(parser)
    add_filters(parser)
    parser.add_argument("--type", metavar="TYPE", help="only failures with an exception of this type")
    parser.add_argument("--place", metavar="PLACE", help="only failures of this place, as aioq jobs failures shows it")
    parser.add_argument("--all", action="store_true", help="all failures, if no filter is given")
    parser.add_argument("--note", metavar="TEXT", help="the reason, for the record of changes")
    add_author(parser)
    add_json(parser)
    parser.set_defaults(run=dismiss)


def dismiss(arguments: argparse.Namespace) -> int:
    """Dismiss the failures that the filters choose."""
    filters = (arguments.queue, arguments.task, arguments.type, arguments.place)
    if all(one is None for one in filters) and not arguments.all:
        raise CommandError(
            "jobs failures dismiss: choose the failures with -q, --task, --type or --place, or write --all"
        )
    by, note = author_of(arguments), note_of(arguments)
    app = load_target(arguments.target, "jobs", arguments.namespace)
    dismissed = run_connected(app, lambda: _dismiss(app, arguments, by, note))
    if arguments.json:
        print_json({"dismissed": dismissed})
    else:
        print_out(f"{dismissed:,} failure{'' if dismissed == 1 else 's'} dismissed")
    return Exit.OK


async def _dismiss(app: Aarq, arguments: argparse.Namespace, by: str, note: str) -> int:
    groups = await groups_of(app, arguments, "jobs failures dismiss")
    store, dismissed = feature_of(app, Failures, "jobs failures dismiss"), 0
    for group in groups:
        if arguments.type in (None, group.cause.type) and arguments.place in (None, group.cause.place):
            done = await _dismiss_group(store, group)
            dismissed += done
            await note_failures(app, f"dismiss {done:,}", group, by=by, note=note)
    return dismissed


async def _dismiss_group(store: Failures, group: FailureGroup) -> int:
    """Dismiss the failures that are in a group now; one that comes meanwhile stays, because no person has seen it."""
    dismissed = 0
    page = await store.list_failures(group.queue, cause=group.cause, limit=PAGE)
    while page:
        seen = [record.failure_id for record in page if record.failed_at <= group.last]
        dismissed += await store.dismiss_failures(seen, queue=group.queue)
        page = await store.list_failures(group.queue, cause=group.cause, after=page[-1], limit=PAGE)
    return dismissed
