"""The schedule of an entry as its author wrote it: with its zone, its policies, and the way to read its text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Protocol, TypeGuard
from warnings import warn

from aioq.clock import SystemClock
from aioq.cron import CronOptions
from aioq.cron.bounds import bounded
from aioq.cron.schedule import CanonicalSchedule, LintedSchedule, NamedSchedule, Schedule, stable_text
from aioq.cron.scheduler import DialectScheduler, Scheduler
from aioq.cron.zones import zone_text
from aioq.errors import CronWarning

__all__ = ["EntrySchedule", "Timing", "TimingDefaults", "timing_of"]


class TimingDefaults(Protocol):
    """The part of an app that the schedules of its entries use."""

    @property
    def tz(self) -> str | tzinfo | None:
        """The zone of expressions that have none of their own."""
        ...

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler that parses expressions."""
        ...


def timing_of(
    app: TimingDefaults,
    schedule: str | Schedule,
    options: CronOptions,
    *,
    tz: str | tzinfo | None = None,
    seconds: str | None = None,
    dialect: str | None = None,
) -> Timing:
    """Return a schedule with its zone and its policies, as `Aarq.cron` and `Aarq.schedule` read their arguments.

    Raises:
        TypeError: `schedule` is a function.
        ValueError: The zone or the dialect of an expression is given for another schedule.
    """
    if not isinstance(schedule, str):
        if tz is not None:
            raise ValueError(f"tz is the zone of a cron expression; leave it out for the schedule {schedule!r}")
        if seconds is not None or dialect is not None:
            raise ValueError(f"seconds and dialect are for the text of an expression; leave them out for {schedule!r}")
    # A zone of the entry counts more than that of the app.
    zone = app.tz if tz is None else tz
    return Timing(
        schedule=schedule, zone=zone, scheduler=app.scheduler, options=options, seconds=seconds, dialect=dialect
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """A schedule as its author wrote it, with its zone and its policies."""

    schedule: str | Schedule
    zone: str | tzinfo | None
    """The zone of an expression. A schedule object may have its own."""
    scheduler: Scheduler
    options: CronOptions
    seconds: str | None = None
    dialect: str | None = None
    """Both say how to read the text of an expression."""
    linted: bool = True
    """Whether to warn of what an author hardly means. A schedule that is stored as data has no author in the code."""

    def __post_init__(self) -> None:
        _check_schedule(self.schedule)

    @property
    def tz(self) -> str:
        """The name of the zone that the schedule is read in."""
        own = self.zone if isinstance(self.schedule, str) else getattr(self.schedule, "tz", None)
        if isinstance(own, tzinfo):
            return zone_text(own)
        return own if isinstance(own, str) else "UTC"

    def of_entry(self, name: str | None) -> EntrySchedule:
        """Return the schedule of the entry with this name, within its bounds; None if it has no entry."""
        schedule = self._parsed(self.schedule) if isinstance(self.schedule, str) else self.schedule
        text = self.schedule if isinstance(self.schedule, str) else None
        if name is not None and _is_named(schedule):
            schedule, text = schedule.named(name), None
        return EntrySchedule(
            schedule=bounded(schedule, self.options.start, self.options.end),
            expression=stable_text(schedule) if text is None else text,
            canonical=schedule.canonical if _is_canonical(schedule) else "",
            lints=self._lints(schedule),
        )

    def _lints(self, schedule: Schedule) -> tuple[str, ...]:
        # An entry that is switched off does nothing odd.
        if not self.linted or not _is_linted(schedule) or not self.options.enabled:
            return ()
        return tuple(schedule.lints(datetime.fromtimestamp(SystemClock().time(), UTC)))

    def _parsed(self, expression: str) -> Schedule:
        if self.seconds is None and self.dialect is None:
            return self.scheduler.parse(expression, tz=self.zone)
        if not isinstance(self.scheduler, DialectScheduler):
            option = "seconds" if self.dialect is None else "dialect"
            raise TypeError(f"{type(self.scheduler).__name__} has no dialects of expressions; leave out {option}=")
        return self.scheduler.parse_dialect(expression, tz=self.zone, seconds=self.seconds, dialect=self.dialect)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySchedule:
    """The schedule of an entry, with the texts that the entry is known by."""

    schedule: Schedule
    expression: str
    """As its author wrote it, with what the name of the entry has chosen; the same in every process."""
    canonical: str
    """In canonical form; "" if it has none."""
    lints: tuple[str, ...]
    """What its author hardly means."""

    def warn(self, entry: str) -> None:
        """Warn of the lints, at the line that defines the entry."""
        for lint in self.lints:
            # Above: the draft, and the method of the app.
            warn(f"cron entry {entry}: {lint}", CronWarning, stacklevel=4)


# `isinstance` of a protocol takes twenty times as long, and an app may define thousands of entries.
def _is_named(schedule: Schedule) -> TypeGuard[NamedSchedule]:
    return hasattr(schedule, "named")


def _is_canonical(schedule: Schedule) -> TypeGuard[CanonicalSchedule]:
    return hasattr(schedule, "canonical")


def _is_linted(schedule: Schedule) -> TypeGuard[LintedSchedule]:
    return hasattr(schedule, "lints")


def _check_schedule(value: object) -> None:
    """Raise for what is no schedule, such as the function that a decorator without parentheses gets."""
    # A text first: to find out that it is no `Schedule` takes a tenth of the whole definition.
    if isinstance(value, str | Schedule):
        return
    if callable(value):
        raise TypeError('this is a function, not a schedule; pass the schedule first, as in "0 9 * * *"')
    raise TypeError(
        f'a schedule is a str such as "0 9 * * *", or an object with next_after; got {type(value).__name__}'
    )
