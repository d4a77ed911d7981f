"""Explains texts with another number of fields: what dialects read in them, and lines of a crontab."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from aioq_cron.describe.words import joined
from aioq_cron.expression.dialects import CRON, DIALECTS, SECONDS, Dialect

__all__ = ["TextInWords", "foreign_parts", "readings"]

TextInWords = Callable[[str, Dialect], str | None]
"""Returns an expression in words; None if the dialect does not accept it."""

_FIELD = re.compile(r"[\d*?/,#L-]+|(\d+|L)W|H(\(.*\))?(/\d+)?|[A-Za-z]{3}([-,#][A-Za-z\d]+)*")
_ZONE = re.compile(r"(CRON_)?TZ=(?P<zone>\S+)")


def foreign_parts(parts: Sequence[str], dialect: Dialect, in_words: TextInWords) -> str | None:
    """Return what to write instead of a zone, a user or a command in the text; None if it has none of them."""
    if zone := _ZONE.fullmatch(parts[0]):
        text = " ".join(parts[1:])
        return f'{parts[0]} is not a field; write "{text}" and tz="{zone["zone"]}"'
    if dialect is not CRON:
        return None
    count = 1 if parts[0].startswith("@") else 5
    text, rest = " ".join(parts[:count]), parts[count:]
    if not rest or _FIELD.fullmatch(rest[0]) or in_words(text, dialect) is None:
        return None
    # /etc/crontab has a user between the fields and the command.
    if len(rest) > 1 and rest[0].isidentifier():
        what = f"{rest[0]!r} may be the user of a crontab, and the rest its command"
    else:
        what = f"{rest[0]!r} begins the command of a crontab"
    return f'{what}; write "{text}" and decorate the function to call'


def readings(parts: Sequence[str], asked: Dialect, in_words: TextInWords) -> str | None:
    """Return in words how dialects with as many fields as `parts` read them; None if no dialect accepts them."""
    options = {f'seconds="{place}"': dialect for place, dialect in SECONDS.items()}
    options |= {f'dialect="{name}"': dialect for name, dialect in DIALECTS.items()}
    if asked is not CRON:
        # Five fields are most likely an expression of cron, and not of a dialect that has none of five.
        options = {"without that argument": CRON} if CRON.layout(len(parts)) else {}
    by_meaning: dict[str, list[str]] = {}
    for option, dialect in options.items():
        if dialect.layout(len(parts)) and (words := in_words(" ".join(parts), dialect)):
            by_meaning.setdefault(words, []).append(option)
    # They contradict each other, so none of them is suggested.
    found = [f"'{words}' {_with(names)}" for words, names in by_meaning.items()]
    return f"it means {', '.join(found)}" if found else None


def _with(options: Sequence[str]) -> str:
    text = joined(options).replace(" and ", " or ")
    return text if text.startswith("without") else f"with {text}"
