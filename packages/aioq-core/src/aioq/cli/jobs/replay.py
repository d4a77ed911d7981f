"""`aioq jobs replay`: puts the jobs of listed failures back into their queues."""

from __future__ import annotations

import argparse
from itertools import compress

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_json, add_target
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.changes import author_of, note_of
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_target
from aioq.cli.jobs.chosen_failures import add_choice, check_choice, chosen_groups, note_failures
from aioq.cli.output import print_json, print_out
from aioq.model.statistics import JobOutcome
from aioq.protocols import Failures
from aioq.protocols.failures import failure_pages

__all__ = ["register", "replay"]


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
    add_choice(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say how many jobs there are")
    add_json(parser)
    parser.set_defaults(run=replay)


def replay(arguments: argparse.Namespace) -> int:
    """Replay the failures that the filters choose."""
    check_choice(arguments, "jobs replay")
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
    store, chosen, replayed = feature_of(app, Failures, "jobs replay"), 0, 0
    for group in await chosen_groups(app, arguments, "jobs replay"):
        done = 0
        async for seen in failure_pages(store, group.queue, group.cause, until=group.last, text=arguments.error or ""):
            chosen += len(seen)
            if not arguments.dry_run:
                is_back = await store.replay_failures([one.failure_id for one in seen], queue=group.queue)
                for one in compress(seen, is_back):
                    app.counts.add(group.queue, one.task, JobOutcome.ENQUEUED)
                done += sum(is_back)
        replayed += done
        if done:
            await note_failures(app, f"replay {done:,}", group, by=by, note=note)
    return chosen, replayed
