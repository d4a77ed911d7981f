"""Reads the span of a backfill, and finds the ticks in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aioq.clock import stored_time
from aioq.cron import CronEntry
from aioq.cron.manual import ticks_between
from aioq.serialization.failure import one_line

__all__ = ["MAX_TICKS", "Span"]

MAX_TICKS: Final = 1_000
"""Ticks that one form fires; the command takes more."""

FIELD: Final = "%Y-%m-%dT%H:%M"
"""The form of a time in a field of a browser."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The times between which the ticks of an entry are to be fired.

    Args:
        first: The first time, in the zone of the entry; a day ago if none is given.
        last: The last time; now if none is given.
        asked: Whether a reader has given them.
        ticks: The ticks from the first to the last time, both included.
        error: Why they cannot be fired; empty if they can.
    """

    first: datetime
    last: datetime
    asked: bool = False
    ticks: Sequence[datetime] = ()
    error: str = ""

    @property
    def first_text(self) -> str:
        """The first time, as a field of a form has it."""
        return self.first.strftime(FIELD)

    @property
    def last_text(self) -> str:
        """The last time, as a field of a form has it."""
        return self.last.strftime(FIELD)

    @staticmethod
    def of(entry: CronEntry, fields: Mapping[str, str], now: float) -> Span:
        """Return the span of a form or of an address, with its ticks unless there is an error."""
        present = stored_time(now, entry.zone)
        blank = Span(first=present - timedelta(days=1), last=present)
        texts = (fields.get("from", ""), fields.get("to", ""))
        if not any(texts):
            return blank
        try:
            first, last = (datetime.fromisoformat(text[:40]) for text in texts)
        except ValueError:
            return Span(first=blank.first, last=blank.last, asked=True, error="Write both times as 2026-03-29T02:30.")
        # A time with an offset is as good, but the fields have none.
        first, last = (each if each.tzinfo else each.replace(tzinfo=entry.zone) for each in (first, last))
        error = ""
        if first > last:
            error = "The first time is after the last one."
        elif last > present:
            error = "The last time is in the future, where ticks fire by themselves."
        ticks, error = ((), error) if error else _ticks(entry, first, last)
        return Span(first=first, last=last, asked=True, ticks=ticks, error=error)


def _ticks(entry: CronEntry, first: datetime, last: datetime) -> tuple[Sequence[datetime], str]:
    try:
        found = ticks_between(entry, first, last, most=MAX_TICKS)
    except Exception as error:  # a schedule may be the user's own code
        return (), one_line(f"Its schedule fails: {type(error).__name__}: {error}", 200)
    if len(found) > MAX_TICKS:
        limit = found[MAX_TICKS - 1].astimezone(entry.zone).strftime(FIELD)
        return (), f"There are more than {MAX_TICKS:,} ticks. The {MAX_TICKS:,}th is {limit}: go up to there first."
    return found, ""
