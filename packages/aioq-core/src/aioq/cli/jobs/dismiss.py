"""`aioq jobs failures dismiss`: takes failures off the list."""

from __future__ import annotations

import argparse

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.changes import author_of, note_of
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_target
from aioq.cli.jobs.chosen_failures import add_choice, check_choice, chosen_groups, note_failures
from aioq.cli.output import print_json, print_out
from aioq.protocols import Failures
from aioq.protocols.failures import failure_pages

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "dismiss",
        help="take failures off the list",
        description="Take the failures of a cause off the list, or those of a task, or with a text in their error, or "
        "all with --all. The records of the jobs stay as long as they would without the list.",
        allow_abbrev=False,
    )
    add_target(parser)
    add_choice(parser)
    add_json(parser)
    parser.set_defaults(run=dismiss)


def dismiss(arguments: argparse.Namespace) -> int:
    """Dismiss the failures that the filters choose."""
    check_choice(arguments, "jobs failures dismiss")
    by, note = author_of(arguments), note_of(arguments)
    app = load_target(arguments.target, "jobs", arguments.namespace)
    dismissed = run_connected(app, lambda: _dismiss(app, arguments, by, note))
    if arguments.json:
        print_json({"dismissed": dismissed})
    else:
        print_out(f"{dismissed:,} failure{'' if dismissed == 1 else 's'} dismissed")
    return Exit.OK


async def _dismiss(app: Aarq, arguments: argparse.Namespace, by: str, note: str) -> int:
    store, dismissed = feature_of(app, Failures, "jobs failures dismiss"), 0
    for group in await chosen_groups(app, arguments, "jobs failures dismiss"):
        done = 0
        async for seen in failure_pages(store, group.queue, group.cause, until=group.last, text=arguments.error or ""):
            done += await store.dismiss_failures([one.failure_id for one in seen], queue=group.queue)
        dismissed += done
        if done:
            await note_failures(app, f"dismiss {done:,}", group, by=by, note=note)
    return dismissed
