"""Types of many kinds, for arguments to travel as."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import msgspec


class Colour(enum.Enum):
    """By value."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """A number with a name."""

    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    """Positions with names."""

    x: int
    on: date


@dataclass
class Part:
    """A dataclass in a dataclass."""

    price: Decimal
    tags: set[str] = field(default_factory=set[str])


@dataclass
class Order:
    """Much of everything."""

    id: UUID
    placed: datetime
    parts: list[Part]
    by_day: dict[date, int] = field(default_factory=dict[date, int])
    parent: Order | None = None


class Address(TypedDict):
    """Some keys may be missing."""

    city: str
    since: NotRequired[date]


class Reading(msgspec.Struct):
    """A struct."""

    at: time
    raw: bytes
    took: timedelta = timedelta()


Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
