"""The protocols of schedules, what a schedule reports about clock changes, and the text of one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

__all__ = [
    "CanonicalSchedule",
    "ClockChange",
    "ExplainedSchedule",
    "LintedSchedule",
    "NamedSchedule",
    "Schedule",
    "stable_text",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChange:
    """A moment at which the clocks of a zone are put forward or back, and its effect on a schedule."""

    at: datetime
    """In UTC."""
    kind: Literal["gap", "repeat"]
    start: datetime
    """The first wall time that is skipped or repeated; naive."""
    end: datetime
    """The first wall time after it; naive."""
    touches: bool
    """Whether the schedule has a run in that time."""
    runs: tuple[datetime, ...]
    """The runs for the wall times of the gap or the repeat: in UTC, at most 10."""
    effect: str
    """The effect in words: "02:30 does not exist: fires at 03:00+02:00 instead"."""


@runtime_checkable
class Schedule(Protocol):
    """Computes when something happens, from a given moment and no clock. Applications may write their own."""

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment strictly after `instant`, in UTC; None if there is none.

        `instant` is aware. The same instant always gives the same answer.
        """
        ...


@runtime_checkable
class CanonicalSchedule(Schedule, Protocol):
    """A schedule whose text may be written in several ways.

    Without `canonical`, an entry whose expression is rewritten with the same meaning counts as changed.
    """

    @property
    def canonical(self) -> str:
        """The one text that all ways to write this schedule share, without its zone; the same in every release."""
        ...


@runtime_checkable
class NamedSchedule(Schedule, Protocol):
    """A schedule that may take the name of its entry into account, such as an expression with `H`."""

    def named(self, name: str) -> Schedule:
        """Return the schedule of the entry with this name; an app asks once, when the entry is defined.

        Its `str` says what the name has chosen. The same name gives the same schedule in every process and release.
        """
        ...


@runtime_checkable
class ExplainedSchedule(Schedule, Protocol):
    """A schedule that can explain itself in words. `aioq cron explain` needs it."""

    def in_words(self) -> str:
        """Return when it fires, in plain words: "at 09:00 on Monday to Friday"."""
        ...

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the clock changes in [start, end) and their effect on this schedule, in order.

        Empty if no clock change affects the schedule.
        """
        ...


@runtime_checkable
class LintedSchedule(Schedule, Protocol):
    """A schedule that knows what its author hardly means; the definition of an entry warns of it by a `CronWarning`."""

    def lints(self, now: datetime) -> list[str]:
        """Return sentences that say what happens and what to write instead; empty if nothing is odd as of `now`."""
        ...


def stable_text(value: object) -> str:
    """Return a text that is the same in every process: `str(value)`, or the type's name if it has no text."""
    kind = type(value)
    # The default text has the address of the object: a fingerprint made of it would change with every process.
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return f"{kind.__module__}.{kind.__qualname__}"
    return str(value)
