"""What a clock change does to a schedule, as a value that can be shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["ClockChange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """A moment at which the clocks of a zone are put forward or back, and what a schedule makes of it."""

    at: datetime
    """In UTC."""
    kind: Literal["gap", "repeat"]
    start: datetime
    """The first wall time that is skipped, or comes twice; naive."""
    end: datetime
    """The first wall time after it; naive."""
    touches: bool
    """Whether the schedule has anything to do in that time."""
    runs: tuple[datetime, ...]
    """When it fires for the wall times of the gap or the repeat: in UTC, at most 10."""
    effect: str
    """That in words: "02:30 does not exist: fires at 03:00+02:00 instead"."""
