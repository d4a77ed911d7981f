"""`aioq web`: serves the dashboard of an app."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Final, cast

import anyio

from aioq.cli.arguments import Commands, add_target
from aioq.cli.broker_access import is_embedded
from aioq.cli.changes import user_at_host
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import print_err
from aioq_web.access import Access, Right, User, is_loopback
from aioq_web.serving import serve

__all__ = ["register"]

PORT: Final = 8080


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "web",
        help="show the app in a browser",
        description="Serve the dashboard of an app, or of a broker given by its URL, until stopped. Readers may look; "
        "what they may change is decided by --allow-changes or --access.",
        epilog="example: aioq web shop.tasks:app --allow-changes",
        allow_abbrev=False,
    )
    add_target(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="HOST", help="the address to listen on; %(default)s by default"
    )
    parser.add_argument(
        "--port", type=int, default=PORT, metavar="PORT", help="the port; %(default)s by default, 0 for any"
    )
    parser.add_argument(
        "--allow-changes", action="store_true",
        help="let programs of this machine change things; they are recorded with your name",
    )  # fmt: skip
    parser.add_argument(
        "--access", metavar="MODULE:FUNCTION",
        help="a function from a request to an aioq_web.User, or to None to refuse it; needed for other hosts than this",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve the dashboard."""
    app = load_target(arguments.target, "web", arguments.namespace)
    if is_embedded(app.broker):
        raise CommandError(
            "web: the memory broker keeps its data in the process that uses it, which this command cannot see; mount "
            "aioq_web.dashboard(app) into that process, or set AIOQ_BROKER_URL",
            Exit.CONFIG,
        )
    access = _access(arguments.access) if arguments.access else None
    if access is None and not is_loopback(arguments.host):
        raise CommandError(
            f"web: {arguments.host} can be reached from other machines; say who may see the dashboard with "
            "--access MODULE:FUNCTION, or leave out --host",
            Exit.CONFIG,
        )
    if access is not None and arguments.allow_changes:
        raise CommandError("web: --allow-changes is for a dashboard without --access, which says what each user may do")
    local = User(user_at_host(), frozenset(Right) if arguments.allow_changes else frozenset())
    what = "by a rule" if access else "and changes are allowed" if arguments.allow_changes else "for reading only"
    print_err(
        f"the dashboard of {app.name} listens on http://{arguments.host}:{arguments.port}, {what}; Ctrl-C ends it"
    )
    anyio.run(
        partial(
            serve,
            app,
            host=arguments.host,
            port=arguments.port,
            access=access,
            local_user=None if access else local,
        )
    )
    return Exit.OK


def _access(path: str) -> Access:
    # As for the path of an app, which may also be a URL.
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise CommandError(f"web: --access {path} cannot be imported: {error}") from error
    if not callable(found):
        raise CommandError(f"web: --access {path} is no function of a request")
    return cast("Access", found)
