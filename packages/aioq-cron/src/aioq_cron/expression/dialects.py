"""The dialects of cron expressions: their fields, and the meaning of each sign by their documentation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, TypedDict

from aioq_cron.calendar.fields import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    WEEKDAY,
    WEEKDAY_FROM_1,
    YEAR,
    YEAR_TO_2099,
    Field,
)

__all__ = [
    "CRON",
    "DIALECTS",
    "SECONDS",
    "Dialect",
    "DialectName",
    "ReadingOptions",
    "Seconds",
    "dialect_of",
    "options_of",
]

DialectName: TypeAlias = Literal["quartz", "aws", "croniter", "jenkins", "spring"]
"""The system by whose rules an expression is read."""

Seconds: TypeAlias = Literal["first", "last"]
"""The place of the field of the seconds."""


class ReadingOptions(TypedDict, total=False):
    """The arguments that say how to read the text of an expression."""

    seconds: Seconds
    dialect: DialectName


_RULE = re.compile(r"L(-\d+)?|(\d+|L)W|(\d+|[A-Z]{3})(L|#\d+)", re.IGNORECASE)
_CRONITER_RULE = re.compile(r"L|\d+W|W\d+|L\d|(\d|[A-Z]{3})#\d+", re.IGNORECASE)
_NO_RULE = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a system reads its expressions."""

    name: str
    """For messages, and for the text of an expression."""
    layouts: tuple[tuple[Field, ...], ...]
    """The fields in their order; several of them if some fields may be left out."""
    nicknames: Mapping[str, str] = field(default_factory=dict[str, str])
    """Words in lower case that stand for a whole expression."""
    days: Literal["vixie", "either", "both", "one"]
    """How the two fields of the day combine: `vixie` takes either, but both if one begins with `*`; `either` takes both
    only if one is exactly `*`; `one` wants `?` in exactly one of them."""
    names: bool = True
    """Whether months and weekdays have names."""
    wraps: bool = True
    """Whether ranges may go around the end of a field."""
    open_steps: bool = True
    """Whether `5/15` means from 5 to the end."""
    bare_steps: bool = False
    """Whether `/15` means `*/15`."""
    slips: bool = False
    """Whether `1/2` ends on Saturday, and what croniter reads in a way of its own is refused.

    That is `5-5`, `22-4/3`, `30W`, and `W` or `#` beside another day.
    """
    hashes: bool = False
    """Whether there is `H`."""
    question_mark: bool = True
    rule: re.Pattern[str] = _RULE
    """Items such as `L` and `MON#2`."""
    lone_rules: bool = False
    """Whether such an item stands alone in its field."""
    star_weekdays: tuple[int, int] | None = None
    """The first and the last weekday of `*`, if they are not those of the field."""
    last_weekday: int | None = None
    """The number that `L` stands for as the day of week."""

    def layout(self, count: int) -> tuple[Field, ...] | None:
        """Return the fields of a text with this number of parts; None if the dialect has no such layout."""
        return next((layout for layout in self.layouts if len(layout) == count), None)


_FIVE: Final = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)
_SECONDS_FIRST: Final = (SECOND, *_FIVE)
_SECONDS_LAST: Final = (*_FIVE, SECOND)
_FROM_1: Final = (MINUTE, HOUR, DAY, MONTH, WEEKDAY_FROM_1)

_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_NICKNAMES_SECONDS_FIRST: Final = {word: f"0 {text}" for word, text in _NICKNAMES.items()}
_NICKNAMES_SECONDS_LAST: Final = {word: f"{text} 0" for word, text in _NICKNAMES.items()}

CRON: Final = Dialect(name="cron", layouts=(_FIVE,), nicknames=_NICKNAMES, days="vixie", hashes=True)
"""The dialect of this package: that of Debian's cron, and more."""

SECONDS: Final[Mapping[Seconds, Dialect]] = {
    "first": replace(CRON, name="seconds first", layouts=(_SECONDS_FIRST,), nicknames=_NICKNAMES_SECONDS_FIRST),
    "last": replace(CRON, name="seconds last", layouts=(_SECONDS_LAST,), nicknames=_NICKNAMES_SECONDS_LAST),
}
"""The same with a field for the seconds."""

DIALECTS: Final[Mapping[DialectName, Dialect]] = {
    "quartz": Dialect(
        name="quartz",
        layouts=((SECOND, *_FROM_1), (SECOND, *_FROM_1, YEAR)),
        days="one",
        bare_steps=True,
        lone_rules=True,
        last_weekday=7,
    ),
    "aws": Dialect(name="aws", layouts=((*_FROM_1, YEAR),), days="one", lone_rules=True, last_weekday=7),
    "croniter": Dialect(
        name="croniter",
        layouts=(_FIVE, _SECONDS_LAST, (*_SECONDS_LAST, YEAR_TO_2099)),
        nicknames=_NICKNAMES,
        days="either",
        slips=True,
        hashes=True,
        rule=_CRONITER_RULE,
    ),
    "jenkins": Dialect(
        name="jenkins",
        layouts=(_FIVE,),
        # Jenkins spreads these over the time that they name.
        nicknames={
            "@hourly": "H * * * *",
            "@daily": "H H * * *",
            "@midnight": "H H(0-2) * * *",
            "@weekly": "H H * * H",
            "@monthly": "H H H * *",
            "@yearly": "H H H H *",
            "@annually": "H H H H *",
        },
        days="both",
        names=False,
        wraps=False,
        open_steps=False,
        hashes=True,
        question_mark=False,
        rule=_NO_RULE,
    ),
    "spring": Dialect(
        name="spring",
        layouts=(_SECONDS_FIRST,),
        nicknames=_NICKNAMES_SECONDS_FIRST,
        days="both",
        wraps=False,
        # So `*/2` is Monday, Wednesday, Friday and Sunday.
        star_weekdays=(1, 7),
    ),
}
"""The dialects of other systems."""


def dialect_of(seconds: object, dialect: object) -> Dialect:
    """Return the dialect that the arguments of an expression name.

    Raises:
        ValueError: There is no such dialect or place, or both are given.
    """
    if seconds is None and dialect is None:
        return CRON
    if seconds is not None and dialect is not None:
        raise ValueError(f"dialect={dialect!r} says where its seconds are; leave out seconds={seconds!r}")
    option, value = ("dialect", dialect) if seconds is None else ("seconds", seconds)
    known = [*DIALECTS.items()] if seconds is None else [*SECONDS.items()]
    for name, one in known:
        if name == value:
            return one
    raise ValueError(f"{option} is one of {', '.join(name for name, _ in known)}, or None; got {value!r}")


def options_of(dialect: Dialect) -> ReadingOptions:
    """Return the arguments of an expression that name a dialect."""
    for place, known in SECONDS.items():
        if known is dialect:
            return {"seconds": place}
    for name, known in DIALECTS.items():
        if known is dialect:
            return {"dialect": name}
    return {}
