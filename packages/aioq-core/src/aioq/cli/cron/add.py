"""`aioq cron add` and `aioq cron remove`: store a schedule, and remove it."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final, cast

from aioq.cli.arguments import Commands, add_app, add_json
from aioq.cli.broker_access import feature_of, run_connected
from aioq.cli.changes import add_author, author_of, note_change
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_app
from aioq.cli.output import print_json, print_out
from aioq.cli.times import format_time
from aioq.cron.options import ScheduleKeywords
from aioq.protocols import Schedules
from aioq.schedules import ScheduleInfo

__all__ = ["add", "register", "remove"]

TEXTS: Final = ("misfire", "overlap")
SECONDS: Final = ("grace", "catchup", "jitter")


def register(commands: Commands) -> None:
    """Add the commands `add` and `remove` to the parser."""
    adding = commands.add_parser(
        "add",
        help="store a schedule in the broker, or replace it",
        description="Store a schedule in the broker, or replace that of its name. At each tick one job of the task is "
        "enqueued. Workers that run notice it within two seconds.",
        epilog='example: aioq cron add shop:app customer-7 shop.send_report "0 9 * * *" --args "[7]"',
    )
    add_app(adding)
    adding.add_argument("name", metavar="NAME", help="the name of the schedule")
    adding.add_argument("task", metavar="TASK", help="the name of the task, as in aioq tasks list")
    # Several words, so that an expression without quotes gets an error that says so.
    adding.add_argument("expression", nargs="+", metavar="EXPR", help='five fields in quotes, or "@every 5m"')
    adding.add_argument("--args", metavar="JSON", default="[]", help="positional arguments of the job, as a JSON list")
    adding.add_argument("--kwargs", metavar="JSON", default="{}", help="keyword arguments of the job, as a JSON object")
    adding.add_argument("--tz", metavar="ZONE", help="the time zone of the expression; that of the app by default")
    adding.add_argument("--seconds", metavar="PLACE", help="first or last: the place of a field of the seconds")
    adding.add_argument("--dialect", metavar="NAME", help="quartz, aws, croniter, jenkins or spring")
    for policy in TEXTS:
        adding.add_argument(f"--{policy}", metavar="POLICY", help=f"the {policy} policy")
    for policy in SECONDS:
        adding.add_argument(f"--{policy}", metavar="SECONDS", type=float, help=f"the {policy} of the schedule")
    add_author(adding)
    add_json(adding)
    adding.set_defaults(run=add)
    removing = commands.add_parser(
        "remove",
        help="remove a stored schedule",
        description="Remove a stored schedule. Jobs that it has enqueued stay. Entries of the code are not changed.",
    )
    add_app(removing)
    removing.add_argument("name", metavar="NAME", help="the name of the schedule")
    removing.add_argument("--queue", metavar="QUEUE", help="its queue, if no task of the app is in it any more")
    add_author(removing)
    add_json(removing)
    removing.set_defaults(run=remove)


def add(arguments: argparse.Namespace) -> int:
    """Store a schedule."""
    by = author_of(arguments)
    app = load_app(arguments.app)
    if (task := app.tasks.get(arguments.task)) is None:
        known = ", ".join(sorted(task.name for task in app.tasks)) or "none"
        raise CommandError(f"{arguments.app} has no task {arguments.task}; it has {known}")
    given = {name: getattr(arguments, name) for name in (*TEXTS, *SECONDS)}
    options = cast("ScheduleKeywords", {name: value for name, value in given.items() if value is not None})
    args, kwargs = _json_of("--args", arguments.args, list), _json_of("--kwargs", arguments.kwargs, dict)

    async def put() -> tuple[bool, ScheduleInfo | None]:
        feature_of(app, Schedules, "cron add")
        changed = await app.schedules.put(
            arguments.name, task, " ".join(arguments.expression), args=tuple(args), kwargs=kwargs, tz=arguments.tz,
            seconds=arguments.seconds, dialect=arguments.dialect, **options,
        )  # fmt: skip
        info = await app.schedules.get(arguments.name)
        if changed and info:
            await note_change(app, by, "add", f"cron {info.queue} {info.name}")
        return changed, info

    try:
        changed, info = run_connected(app, put)
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from error
    following = info.next_at if info else None
    if arguments.json:
        at = following.isoformat() if following else None
        print_json({"name": arguments.name, "queue": info.queue if info else None, "changed": changed, "next": at})
    else:
        text = f"its next run is {format_time(following)}" if following else "it has no run"
        print_out(f"{arguments.name} is {'stored' if changed else 'stored already'}: {text}")
    return Exit.OK


def remove(arguments: argparse.Namespace) -> int:
    """Remove a stored schedule."""
    by = author_of(arguments)
    app = load_app(arguments.app)

    async def take() -> bool:
        feature_of(app, Schedules, "cron remove")
        info = await app.schedules.get(arguments.name)
        removed = await app.schedules.remove(arguments.name, queue=arguments.queue)
        queue = arguments.queue or (info.queue if info else None)
        if removed and queue:
            await note_change(app, by, "remove", f"cron {queue} {arguments.name}")
        return removed

    removed = run_connected(app, take)
    if not removed:
        where = "an entry of the code" if app.crons.get(arguments.name) else "not stored"
        raise CommandError(f"{arguments.name} is {where}; aioq cron list shows the stored schedules of {arguments.app}")
    if arguments.json:
        print_json({"name": arguments.name, "removed": True})
    else:
        print_out(f"{arguments.name} is removed")
    return Exit.OK


def _json_of(option: str, text: str, kind: type[Any]) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"{option} is not JSON: {error}") from error
    if not isinstance(value, kind):
        raise CommandError(f"{option} must be a JSON {'list' if kind is list else 'object'}, got {text}")
    return value
