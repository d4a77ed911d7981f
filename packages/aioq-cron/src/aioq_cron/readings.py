"""Explains texts with another number of fields: what other systems read in them, and lines of a crontab."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aioq_cron.describe import joined

__all__ = ["TextInWords", "foreign_parts", "readings"]

TextInWords = Callable[[str], str | None]
"""Returns five fields in words; None if they are no valid expression."""

_FIELD = re.compile(r"[\d*?/,#L-]+|(\d+|L)W|H(\(.*\))?(/\d+)?|[A-Za-z]{3}([-,#][A-Za-z\d]+)*")
_ZONE = re.compile(r"(CRON_)?TZ=(?P<zone>\S+)")
_SECOND = r"(\*|[0-5]?\d(-[0-5]?\d)?)(/\d+)?"
_SECONDS = re.compile(f"{_SECOND}(,{_SECOND})*")
_YEARS = re.compile(r"[*?]|[12]\d{3}([-,/]\d+)*")
_NUMBERED_WEEKDAY = re.compile(r"(?<![#/\d])\d+")


class _System(NamedTuple):
    """How a system reads more than five fields."""

    name: str
    seconds: int | None
    """The place of the seconds; None if there are none."""
    year: int | None
    first_weekday: int
    """The number of Sunday."""


_SIX = (
    _System("Quartz", 0, None, 1),
    _System("Spring", 0, None, 0),
    _System("node", 0, None, 0),
    _System("croniter", 5, None, 0),
    _System("AWS", None, 5, 1),
)
_SEVEN = (_System("Quartz", 0, 6, 1), _System("croniter", 5, 6, 0))


def foreign_parts(parts: Sequence[str], in_words: TextInWords) -> str | None:
    """Return what to write instead of a zone, a user or a command in the text; None if it has none of them."""
    if zone := _ZONE.fullmatch(parts[0]):
        text = " ".join(parts[1:])
        return f'{parts[0]} is not a field; write "{text}" and tz="{zone["zone"]}"'
    count = 1 if parts[0].startswith("@") else 5
    text, rest = " ".join(parts[:count]), parts[count:]
    if not rest or _FIELD.fullmatch(rest[0]) or in_words(text) is None:
        return None
    # /etc/crontab has a user between the fields and the command.
    if len(rest) > 1 and rest[0].isidentifier():
        what = f"{rest[0]!r} may be the user of a crontab, and the rest its command"
    else:
        what = f"{rest[0]!r} begins the command of a crontab"
    return f'{what}; write "{text}" and decorate the function to call'


def readings(parts: Sequence[str], in_words: TextInWords) -> str | None:
    """Return how other systems read six or seven fields, in words; None if none of them can read them."""
    systems = {6: _SIX, 7: _SEVEN}.get(len(parts), ())
    by_meaning: dict[str, list[str]] = {}
    for system in systems:
        if words := _read(system, parts, in_words):
            by_meaning.setdefault(words, []).append(system.name)
    found = [f"{joined(names)} as '{words}'" for words, names in by_meaning.items()]
    return f"other systems read it differently: {', '.join(found)}" if found else None


def _read(system: _System, parts: Sequence[str], in_words: TextInWords) -> str | None:
    special = {place for place in (system.seconds, system.year) if place is not None}
    five = [part for place, part in enumerate(parts) if place not in special]
    five[4] = _NUMBERED_WEEKDAY.sub(lambda found: str(int(found[0]) - system.first_weekday), five[4])
    seconds = "0" if system.seconds is None else parts[system.seconds]
    year = "*" if system.year is None else parts[system.year]
    if not _SECONDS.fullmatch(seconds) or not _YEARS.fullmatch(year):
        return None
    if (words := in_words(" ".join(five))) is None:
        return None
    if seconds != "0":
        words += " in each second" if seconds == "*" else f" at second {seconds}"
    return words if year in ("*", "?") else f"{words} in the year {year}"
