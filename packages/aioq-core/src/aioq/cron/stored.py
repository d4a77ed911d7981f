"""Converts entries to schedules that a broker stores, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from hashlib import sha256
from itertools import product
from typing import Any

import msgspec
from msgspec.structs import astuple, replace

from aioq.cron.bounds import bounded
from aioq.cron.definition import JOB_DIGEST, define
from aioq.cron.entry import CronEntry, due_at
from aioq.cron.options import CronOptions
from aioq.cron.schedule import CanonicalSchedule, NamedSchedule, Schedule
from aioq.cron.scheduler import DialectScheduler, Scheduler
from aioq.cron.timing import Timing
from aioq.cron.zones import load_zone, zone_named, zone_text
from aioq.errors import BadSignature
from aioq.model.job import NewJob
from aioq.model.schedules import ScheduleText, StoredSchedule
from aioq.serialization.signing import Signer, Subject
from aioq.task import Task

__all__ = ["SharedEntries", "as_text", "look_at", "parse", "read_entry", "read_job", "stored_schedule"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DEFAULTS = CronOptions()
_POLICIES = frozenset(field.name for field in fields(CronOptions))

MAX_SHARED = 1_000
"""Entries that are kept for schedules that come later."""


def as_text(timing: Timing) -> ScheduleText:
    """Return the text from which every worker gets the same schedule.

    Raises:
        ValueError: There is none, because the schedule is an object of the application.
    """
    given = timing.schedule
    if isinstance(given, str):
        text = ScheduleText(expression=given, tz=timing.tz, seconds=timing.seconds, dialect=timing.dialect)
        parse(timing.scheduler, text)
        return text
    canonical = given.canonical if isinstance(given, CanonicalSchedule) else ""
    for expression, seconds in product(dict.fromkeys((str(given), canonical)), (None, "first")):
        text = ScheduleText(expression=expression, tz=timing.tz, seconds=seconds)
        with suppress(TypeError, ValueError):
            again = parse(timing.scheduler, text)
            if canonical and isinstance(again, CanonicalSchedule) and again.canonical == canonical:
                return text
    raise ValueError(
        f"a stored schedule is text that every worker can parse, and {given} in {timing.tz} is not; pass an expression "
        'such as "0 9 * * *" or "@every 5m", or declare it in the code with app.schedule'
    )


def parse(scheduler: Scheduler, text: ScheduleText) -> Schedule:
    """Return the schedule of a text.

    Raises:
        TypeError, ValueError: This worker cannot parse it.
    """
    zone = _zone(text.tz)
    if text.seconds is None and text.dialect is None:
        return scheduler.parse(text.expression, tz=zone)
    if not isinstance(scheduler, DialectScheduler):
        raise TypeError(f"{type(scheduler).__name__} has no dialects of expressions")
    return scheduler.parse_dialect(text.expression, tz=zone, seconds=text.seconds, dialect=text.dialect)


def look_at(entry: CronEntry, tick: datetime) -> float:
    """Return when workers have to look at a tick: when it is due, rounded up to the milliseconds of a broker."""
    # Not earlier: a worker that looks before the tick is due would have to look again at the same millisecond.
    return -((_EPOCH - due_at(entry, tick)) // _MILLISECOND) / 1000


def stored_schedule(entry: CronEntry, text: ScheduleText, app: str, signer: Signer | None) -> StoredSchedule:
    """Return what a broker stores of an entry that enqueues jobs; its arguments are signed if there is a signer."""
    if entry.job is None:
        raise TypeError(f"entry {entry.name} has no job")
    schedule = StoredSchedule(definition=define(entry), text=text, app=app, job=entry.job)
    if signer is None:
        return schedule
    payload = signer.seal(_subject(schedule), entry.job.payload, terms=_terms(schedule))
    return replace(schedule, job=replace(entry.job, payload=payload))


def read_entry(stored: StoredSchedule, task: Task[..., Any], scheduler: Scheduler, signer: Signer | None) -> CronEntry:
    """Return the entry of a stored schedule.

    Raises:
        TypeError, ValueError: This release does not know a policy, or cannot parse the expression or the zone.
        BadSignature: There is a signer, and the arguments are not signed for this schedule.
    """
    return _entry(stored, task, scheduler, read_job(stored, signer))


def read_job(stored: StoredSchedule, signer: Signer | None) -> NewJob:
    """Return the job of a stored schedule, not signed.

    Raises:
        BadSignature: There is a signer, and the schedule is not as it was signed.
    """
    if signer is None:
        return stored.job
    payload, terms = signer.unseal(_subject(stored), stored.job.payload)
    if terms != _terms(stored):
        raise BadSignature(f"schedule {stored.definition.name} was changed after it was signed")
    return replace(stored.job, payload=payload)


class SharedEntries:
    """Reads the entries of stored schedules without their jobs. Those that fire at the same moments share one.

    Thousands of schedules may be due at one moment, and most of them have one of few expressions.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._shared: dict[object, CronEntry | None] = {}
        """None for those whose ticks depend on the name of the schedule."""

    def read(self, stored: StoredSchedule, task: Task[..., Any]) -> CronEntry:
        """Return an entry that has the ticks and the policies of a schedule. It may have the name of another one.

        Raises:
            TypeError, ValueError: As for `read_entry`.
        """
        definition = stored.definition
        policies = tuple(pair for pair in definition.options.items() if pair[0] != JOB_DIGEST)
        key = (stored.text, policies, definition.enabled)
        if (shared := self._shared.get(key)) is not None:
            return shared
        entry = _entry(stored, task, self._scheduler, None)
        if key not in self._shared:
            if len(self._shared) >= MAX_SHARED:
                self._shared.clear()
            own = bool(entry.options.jitter) or _needs_name(stored, self._scheduler)
            self._shared[key] = None if own else entry
        return entry


def _entry(stored: StoredSchedule, task: Task[..., Any], scheduler: Scheduler, job: NewJob | None) -> CronEntry:
    definition = stored.definition
    options = _read_options(definition.options, enabled=definition.enabled)
    schedule = _named(parse(scheduler, stored.text), definition.name)
    return CronEntry(
        name=definition.name,
        function=task.function,
        schedule=bounded(schedule, options.start, options.end),
        queue=definition.queue,
        unique=True,
        job=job,
        sign=task.signed if task.signs else None,
        options=options,
        expression=definition.expression,
        canonical=getattr(schedule, "canonical", ""),
        tz=definition.tz,
    )


def _named(schedule: Schedule, name: str) -> Schedule:
    return schedule.named(name) if isinstance(schedule, NamedSchedule) else schedule


def _needs_name(stored: StoredSchedule, scheduler: Scheduler) -> bool:
    """Return whether the ticks of a schedule depend on its name."""
    schedule = parse(scheduler, stored.text)
    return _named(schedule, stored.definition.name) is not schedule


def _read_options(texts: Mapping[str, str], *, enabled: bool) -> CronOptions:
    policies = {name: text for name, text in texts.items() if name != JOB_DIGEST}
    if unknown := sorted(policies.keys() - _POLICIES):
        raise ValueError(f"this release of aioq does not know the policy {', '.join(unknown)}")
    if not policies and enabled:
        return _DEFAULTS
    try:
        return msgspec.convert({**policies, "enabled": enabled}, CronOptions, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"a policy cannot be read: {error}") from None


def _zone(text: str) -> tzinfo:
    zone = zone_named(text)
    # `zone_named` answers UTC to a name that it does not know; firing in another zone would be silently wrong.
    return zone if isinstance(zone, timezone) and zone_text(zone) == text else load_zone(text)


def _subject(stored: StoredSchedule) -> Subject:
    return Subject("schedule", stored.job.task, stored.definition.queue, stored.definition.name)


def _terms(stored: StoredSchedule) -> bytes:
    """Return a digest of when the schedule fires and with which options."""
    definition, job = stored.definition, stored.job
    meaning = (
        definition.fingerprint, *astuple(stored.text), definition.enabled, definition.options, stored.app, job.priority,
        job.expires, job.max_crashes,
    )  # fmt: skip
    return sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest().encode()
