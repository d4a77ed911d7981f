"""The cron entries of an app's code: finding one, and when it fires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from itertools import islice

from aioq.app import Aarq
from aioq.cli.exit_codes import CommandError
from aioq.cron import CronEntry, upcoming
from aioq.serialization.failure import one_line

__all__ = ["SHOWN", "NextRuns", "find_entry", "next_runs_of"]

SHOWN = 3
"""Next runs that are shown of an entry."""

NAMED = 5
"""Entries that are named where one was asked for that is not there."""


@dataclass(frozen=True, slots=True)
class NextRuns:
    """The next runs of an entry, in UTC; none when its schedule is over, or fails."""

    runs: tuple[datetime, ...] = ()
    fails: str = ""
    """What the schedule raised."""


def find_entry(app: Aarq, path: str, name: str) -> CronEntry:
    """Return an entry of an app by its name.

    Raises:
        CommandError: There is none; says which are meant, or which there are.
    """
    if (entry := app.crons.get(name)) is not None:
        return entry
    names = sorted(entry.name for entry in app.crons)
    ending = [known for known in names if known.endswith(f".{name}")]
    if close := ending or get_close_matches(name, names, n=1):
        raise CommandError(f"{path} has no cron entry {name}; did you mean {close[0]}?")
    more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
    there = f"it has {', '.join(names[:NAMED])}{more}" if names else "it has none"
    raise CommandError(f"{path} has no cron entry {name}; {there}")


def next_runs_of(entry: CronEntry, start: datetime, count: int = SHOWN) -> NextRuns:
    """Return the next runs of an entry."""
    try:
        return NextRuns(tuple(islice(upcoming(entry.schedule, start), count)))
    except Exception as error:  # anybody may write a schedule
        return NextRuns(fails=one_line(f"fails: {type(error).__name__}: {error}", 100))
