"""The options of commands that change something, and the record of what they have changed."""

from __future__ import annotations

import argparse
import getpass
import socket

from aioq.app import Aarq
from aioq.cli.exit_codes import CommandError
from aioq.conformance import supports
from aioq.model.changes import Change
from aioq.model.stops import MAX_AUTHOR, MAX_NOTE
from aioq.protocols import ChangeLog

__all__ = ["add_author", "add_note", "author_of", "note_change", "note_of", "user_at_host"]


def add_author(parser: argparse.ArgumentParser) -> None:
    """Add the name of the person that makes the change."""
    parser.add_argument("--by", metavar="NAME", help="who makes the change; USER@HOST by default")


def add_note(parser: argparse.ArgumentParser) -> None:
    """Add the reason of the change."""
    parser.add_argument("--note", metavar="TEXT", help="the reason, for the record of changes")


def author_of(arguments: argparse.Namespace) -> str:
    """Return the person that makes the change.

    Raises:
        CommandError: The name is empty or too long.
    """
    author: str = user_at_host()[:MAX_AUTHOR] if arguments.by is None else arguments.by
    if not 0 < len(author) <= MAX_AUTHOR:
        raise CommandError(f"--by must have 1 to {MAX_AUTHOR} characters, got {len(author)}")
    return author


def note_of(arguments: argparse.Namespace) -> str:
    """Return the reason of the change.

    Raises:
        CommandError: It is too long.
    """
    note: str = arguments.note or ""
    if len(note) > MAX_NOTE:
        raise CommandError(f"--note must have at most {MAX_NOTE} characters, got {len(note)}")
    return note


async def note_change(app: Aarq, by: str, what: str, subject: str, note: str = "") -> None:
    """Record a change that was made, if the broker of the connected app keeps a record; a long note is cut."""
    broker = app.broker
    moment = await broker.time()
    if supports(broker, ChangeLog):
        await broker.note_change(
            Change(at=moment, by=by[:MAX_AUTHOR], what=what, subject=subject, note=note[:MAX_NOTE])
        )


def user_at_host() -> str:
    """Return `user@host`, the name of the user for pauses and records."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # in a container the user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
