"""The policies of a cron entry, checked when it is defined."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, TypedDict, get_args

from aioq.model.cron import Overlap
from aioq.options import TEN_YEARS, flag, number

__all__ = ["CronKeywords", "CronOptions", "Misfire", "ScheduleKeywords", "WAITING_POLICIES"]

Misfire: TypeAlias = Literal["once", "skip", "all"]
"""The policy for ticks that were not fired in time."""

WAITING_POLICIES: Final[tuple[Overlap, ...]] = ("skip", "queue_one")
"""Values of `overlap` with which a tick does not run before the ledger knows that the earlier run has ended."""

MAX_JITTER = 86_400.0
"""Seconds: a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronOptions:
    """The policies of one entry. Durations are in seconds.

    Raises:
        TypeError, ValueError: A field is out of its range; the message names it.
    """

    misfire: Misfire = "once"
    """Of ticks that have come due together: `once` fires the newest, `skip` fires the newest
    unless it is later than `grace`, `all` fires each of them, the oldest first."""
    grace: float = 60.0
    """How late a tick may fire and still be in time. For so long a worker repeats its claim while the broker is away,
    and so far before its own start it looks for ticks that no worker of the fleet has fired. 1 to 10 years."""
    catchup: float | None = None
    """How old a tick may be and still be made up for; older ones are missed. A tick that is in time
    needs no catchup. With a number, a unique entry also makes up for ticks that came due while no
    worker was up. None: for all ticks since the worker started. 0 to 10 years."""
    overlap: Overlap = "allow"
    """If a tick comes while an earlier run goes on: `allow` runs both, `skip` skips the tick,
    `queue_one` lets the newest such tick wait, `cancel` cancels the earlier run."""
    jitter: float = 0.0
    """Longest delay of a tick. The delay of each entry and tick is fixed. 0 to a day."""
    timeout: float | None = None
    """How long a run may take before it is cancelled; None for no limit. For a schedule, its task has a timeout."""
    run_on_start: bool = False
    """Fire also when a worker starts: on each worker, or for an entry of the fleet once for all workers that start in
    the same `grace` seconds."""
    enabled: bool = True
    """If False, the entry is registered and shown, and never fires."""
    start: datetime | None = None
    """No tick before this moment; aware."""
    end: datetime | None = None
    """No tick after this moment; aware."""

    def __post_init__(self) -> None:
        _one_of("misfire", self.misfire, get_args(Misfire))
        _one_of("overlap", self.overlap, get_args(Overlap))
        number("grace", self.grace, 1, TEN_YEARS)
        number("jitter", self.jitter, 0, MAX_JITTER)
        for field, value, least in (("catchup", self.catchup, 0), ("timeout", self.timeout, 0.001)):
            if value is not None:
                number(field, value, least, TEN_YEARS)
        flag("run_on_start", self.run_on_start)
        flag("enabled", self.enabled)
        for field, moment in (("start", self.start), ("end", self.end)):
            _aware(field, moment)
        if self.start and self.end and self.start > self.end:
            raise ValueError(f"start must not be after end, got {self.start.isoformat()} and {self.end.isoformat()}")


class ScheduleKeywords(TypedDict, total=False):
    """The fields of `CronOptions` that a schedule may have, as keyword arguments."""

    misfire: Misfire
    grace: float
    catchup: float | None
    overlap: Overlap
    jitter: float
    run_on_start: bool
    enabled: bool
    start: datetime | None
    end: datetime | None


class CronKeywords(ScheduleKeywords, total=False):
    """All fields of `CronOptions` as keyword arguments."""

    timeout: float | None


def _one_of(field: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{field} must be one of {', '.join(choices)}, got {value!r}")


def _aware(field: str, moment: object) -> None:
    if moment is None:
        return
    if not isinstance(moment, datetime):
        raise TypeError(f"{field} must be a datetime, got {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise ValueError(
            f"{field} must be aware, got {moment!r}; give it a tzinfo, as in datetime(2026, 1, 1, tzinfo=UTC)"
        )
