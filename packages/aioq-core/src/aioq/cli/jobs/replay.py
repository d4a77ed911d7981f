"""`aioq jobs replay`: puts the jobs of listed failures back into their queues."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from typing import Final

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.changes import add_author, author_of, note_of
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_target
from aioq.cli.jobs.failures import add_filters, groups_of, note_failures
from aioq.cli.output import print_json, print_out
from aioq.model.failures import FailureGroup, FailureRecord
from aioq.protocols import Failures

__all__ = ["register", "replay"]

PAGE: Final = 1000
"""Failures that are replayed in one step."""


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "replay",
        help="put the jobs of failures back into their queues",
        description="Put the jobs of listed failures back into their queues: those of a cause, of a task or with a "
        "text in their error, or all with --all. The failures leave the list.",
        allow_abbrev=False,
    )
    add_target(parser)
    add_filters(parser)
    parser.add_argument(
        "--cause", metavar="TYPE[@PLACE]",
        help="only failures with this type of exception and, after an @, of this place; see aioq jobs failures",
    )  # fmt: skip
    parser.add_argument("--error", metavar="TEXT", help="only failures whose id, task or error contains this text")
    parser.add_argument("--all", action="store_true", help="all failures, if no filter is given")
    parser.add_argument("--dry-run", action="store_true", help="only say how many jobs there are")
    parser.add_argument("--note", metavar="TEXT", help="the reason, for the record of changes")
    add_author(parser)
    add_json(parser)
    parser.set_defaults(run=replay)


def replay(arguments: argparse.Namespace) -> int:
    """Replay the failures that the filters choose."""
    filters = (arguments.queue, arguments.task, arguments.cause, arguments.error)
    if all(one is None for one in filters) and not arguments.all:
        raise CommandError("jobs replay: choose the failures with -q, --task, --cause or --error, or write --all")
    by, note = author_of(arguments), note_of(arguments)
    app = load_target(arguments.target, "jobs", arguments.namespace)
    chosen, replayed = run_connected(app, lambda: _replay(app, arguments, by, note))
    if arguments.json:
        print_json({"chosen": chosen, "replayed": replayed, "dry_run": arguments.dry_run})
    elif arguments.dry_run:
        print_out(f"{_jobs(chosen)} would be put back")
    else:
        print_out(f"{_jobs(replayed)} put back{_left(chosen - replayed)}")
    return Exit.OK


def _jobs(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


def _left(count: int) -> str:
    if not count:
        return ""
    return f"; {_jobs(count)} could not be: the id is that of a newer job, or the job is not stored any more"


async def _replay(app: Aarq, arguments: argparse.Namespace, by: str, note: str) -> tuple[int, int]:
    """Return how many failures were chosen, and how many of their jobs were put back."""
    kind, _, place = (arguments.cause or "").partition("@")
    groups = await groups_of(app, arguments, "jobs replay")
    store, chosen, replayed = feature_of(app, Failures, "jobs replay"), 0, 0
    for group in groups:
        if kind not in ("", group.cause.type) or place not in ("", group.cause.place):
            continue
        done = 0
        async for seen in _pages(store, group, arguments.error or ""):
            chosen += len(seen)
            if not arguments.dry_run:
                done += sum(await store.replay_failures([one.failure_id for one in seen], queue=group.queue))
        replayed += done
        if done:
            await note_failures(app, f"replay {done:,}", group, by=by, note=note)
    return chosen, replayed


async def _pages(store: Failures, group: FailureGroup, text: str) -> AsyncIterator[list[FailureRecord]]:
    """Yield the failures that are in a group now. One that comes meanwhile is left out, or a job could run for ever."""
    page = await store.list_failures(group.queue, cause=group.cause, text=text, limit=PAGE)
    while page:
        yield [record for record in page if record.failed_at <= group.last]
        page = await store.list_failures(group.queue, cause=group.cause, text=text, after=page[-1], limit=PAGE)
