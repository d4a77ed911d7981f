"""Chooses the values of `H` by the name of an entry.

The choice is part of the behaviour of every release: another one would move the runs of all such entries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

from aioq_cron.calendar.fields import DAY, WEEKDAY, Field

__all__ = ["HASHED", "hashed_values", "range_of_hash"]

HASHED = re.compile(r"H(\((?P<low>\d+)-(?P<high>\d+)\))?(/(?P<step>\d+))?", re.IGNORECASE | re.ASCII)
"""`H`, `H/15`, `H(0-29)` or `H(0-29)/10` as an item of a field."""

_SAFE_DAYS = 28


def range_of_hash(field: Field) -> tuple[int, int]:
    """Return the lowest and the highest value of a plain `H`."""
    if field.name == DAY.name:
        # Every month has these.
        return field.low, _SAFE_DAYS
    return field.low, 6 if field is WEEKDAY else field.high


def hashed_values(name: str, field: Field, bounds: tuple[int, int], step: int | None) -> Sequence[int]:
    """Return the values of an `H` within bounds: a single one, or every `step`th from a first one on."""
    low, high = bounds
    number = _number(name, field)
    if step is None or step == 1:
        return (low + number % (high - low + 1),)
    return range(low + number % step, high + 1, step)


def _number(name: str, field: Field) -> int:
    """Return the first 8 bytes of a hash of the field and the name, read as a number, the largest byte first."""
    # Of the field, too: the minute must not tell the hour.
    return int.from_bytes(blake2b(f"{field.name} {name}".encode(), digest_size=8).digest())
