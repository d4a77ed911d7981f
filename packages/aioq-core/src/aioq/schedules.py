"""Puts, shows and removes the schedules of an app that its broker stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Literal, Protocol, Unpack, cast

import anyio

from aioq.conformance import supports, why_unsupported
from aioq.cron.define import ScheduleDraft, error_context, schedule_options, text_of
from aioq.cron.entry import CronEntry
from aioq.cron.options import ScheduleKeywords
from aioq.cron.schedule import Schedule
from aioq.cron.steps import step
from aioq.cron.stored import as_text, look_at, stored_schedule
from aioq.cron.timing import TimingDefaults, timing_of
from aioq.cron.zones import zone_named
from aioq.errors import MissingFeature, ScheduleConflict, UnknownSchedule
from aioq.model.cron import CronKey, CronStatus, Pause, TickRecord
from aioq.model.ids import new_id
from aioq.model.schedules import PutOutcome, ScheduleRecord, ScheduleText
from aioq.protocols import Broker, Schedules, TickLedger
from aioq.registry import Registry
from aioq.task import Enqueuer, Task

__all__ = ["AppSchedules", "ScheduleInfo"]

MAX_LISTED = 1_000
"""Schedules that one call lists."""


class ScheduleOwner(Enqueuer, TimingDefaults, Protocol):
    """The part of an app that its stored schedules use."""

    @property
    def name(self) -> str:
        """The name of the app."""
        ...

    @property
    def tasks(self) -> Registry[Task[..., Any]]:
        """The tasks of the app."""
        ...

    @property
    def crons(self) -> Registry[CronEntry]:
        """The entries of the code."""
        ...

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues of the app."""
        ...


class LedgerOfSchedules(TickLedger, Schedules, Broker, Protocol):
    """A broker that stores schedules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInfo:
    """A stored schedule as `app.schedules` shows it. Moments are aware, in the zone of the schedule."""

    name: str
    task: str
    """The name of its task."""
    queue: str
    expression: str
    tz: str
    options: Mapping[str, str]
    """Policies that differ from their defaults, as text by name."""
    enabled: bool
    next_at: datetime | None
    """The next tick, with its jitter, or the moment at which a worker computes it; None if there is no further one."""
    pause: Pause | None
    """Who paused it and why; None if it is not paused."""
    last: TickRecord | None
    """The record of its latest tick."""
    status: CronStatus | None
    """All that the ledger knows of it."""

    @property
    def key(self) -> CronKey:
        """Its identity in the ledger."""
        return CronKey(self.queue, self.name)


class AppSchedules:
    """The schedules of an app that are stored by the broker, and not in its code: `app.schedules`.

    Any process with the app may change them while workers run. A change counts on all workers within two seconds.
    """

    def __init__(self, app: ScheduleOwner) -> None:
        self._app = app

    async def put(
        self,
        name: str,
        task: Task[..., Any],
        schedule: str | Schedule,
        *,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        tz: str | tzinfo | None = None,
        seconds: Literal["first", "last"] | None = None,
        dialect: str | None = None,
        expires: float | timedelta | None = None,
        **options: Unpack[ScheduleKeywords],
    ) -> bool:
        """Store a schedule that enqueues a job of a task at each tick, once for the fleet.

        Returns False if an equal schedule is stored already.
        A schedule of this name is replaced. With the same moments it keeps the ticks that it owes; with others it
        starts with the next one. A schedule whose task is in another queue than before moves there.

        Args:
            name: Its name, unique in the queue of the task; at most 180 characters.
            task: A task of this app. Workers that do not know it leave the schedule to others.
            schedule: A cron expression, `@every 5m`, or a schedule object that can be written as one of them.
            args: Positional arguments of the job. They are checked and encoded by this call.
            kwargs: Keyword arguments of the job.
            tz: The time zone of the expression; when None that of the app, or else UTC.
            seconds: The place of the field of the seconds, as in `Aarq.schedule`.
            dialect: The system whose expressions it reads, as in `Aarq.schedule`.
            expires: Seconds (or a timedelta) within which each job must start, as in `Aarq.schedule`.
            options: The fields of `CronOptions` except `run_on_start`, and `timeout`, which is set on the task.

        Raises:
            ScheduleConflict: The code declares an entry of this name, or another app has stored a schedule of it.
            SerializationError, PayloadTooLarge: The arguments do not fit the task, or exceed the limit.
            TaskDefinitionError, TypeError, ValueError: An argument is wrong; the message names it.
            DiscoveryError: No scheduler is installed; the message says what to install.
            MissingFeature: The broker stores no schedules.
            BrokerUnavailable: The broker cannot be reached. Repeating the call is safe.
            BrokerFull: The broker has no room.
        """
        with error_context(lambda: f"app.schedules.put({name!r}, {text_of(task)}, {text_of(schedule)})"):
            timing = timing_of(self._app, schedule, schedule_options(options), tz=tz, seconds=seconds, dialect=dialect)
            timing = replace(timing, linted=False)
            if timing.options.run_on_start:
                raise ValueError(
                    "run_on_start is for entries of the code; enqueue a job, and store the schedule besides"
                )
            given: Mapping[str, Any] = {} if kwargs is None else kwargs
            draft = ScheduleDraft(timing=timing, name=name, args=args, kwargs=given, expires=expires)
            entry = draft.entry(task, self._app.tasks, self._app.crons)
            text = as_text(timing)
        if (declared := self._app.crons.get(name)) is not None:
            raise ScheduleConflict(name, entry.queue, f"the code declares it at {declared.where}")
        return await self._store(entry, text)

    async def get(self, name: str) -> ScheduleInfo | None:
        """Return a schedule; None if none of this name is stored in a queue of the app."""
        store, record = await self._find(name)
        return None if record is None else await _info(store, record)

    async def list(self, *, limit: int = 100, after: ScheduleInfo | None = None) -> Sequence[ScheduleInfo]:
        """Return schedules of the app, sorted by queue and name.

        Args:
            limit: How many; at most 1,000.
            after: The last one of the page before.
        """
        store = await self._connected()
        found = await store.list_schedules(
            self._app.name, after=None if after is None else after.key, limit=min(limit, MAX_LISTED)
        )
        infos: dict[CronKey, ScheduleInfo] = {}

        async def add(record: ScheduleRecord) -> None:
            infos[record.schedule.key] = await _info(store, record)

        async with anyio.create_task_group() as tasks:
            for record in found:
                tasks.start_soon(partial(add, record))
        return [infos[record.schedule.key] for record in found]

    async def remove(self, name: str, *, queue: str | None = None) -> bool:
        """Remove a schedule; return False if there is none. Jobs that it has enqueued stay.

        Args:
            name: Its name.
            queue: Its queue, if that is no longer one of the app; all queues of the app when None.
        """
        store, record = await self._find(name, queue)
        return record is not None and await store.remove_schedule(record.schedule.key)

    async def pause(self, name: str, *, note: str = "", by: str = "") -> bool:
        """Skip the ticks of a schedule until it is resumed; return False if it was paused already.

        Args:
            name: Its name.
            note: The reason, for readers of the schedule.
            by: The name of the person or program that pauses it.

        Raises:
            UnknownSchedule: None of this name is stored in a queue of the app.
        """
        store, record = await self._find(name)
        if record is None:
            raise UnknownSchedule(name, self._app.name)
        return await store.pause_cron(record.schedule.key, note=note, by=by)

    async def resume(self, name: str) -> bool:
        """Fire a paused schedule again, from its next tick; return False if it was not paused.

        Raises:
            UnknownSchedule: None of this name is stored in a queue of the app.
        """
        store, record = await self._find(name)
        if record is None:
            raise UnknownSchedule(name, self._app.name)
        return await store.resume_cron(record.schedule.key)

    async def _store(self, entry: CronEntry, text: ScheduleText) -> bool:
        store = await self._connected()
        for queue in self._app.queues:
            if queue != entry.queue and (other := await self._own(store, CronKey(queue, entry.name))) is not None:
                # First, so that no tick fires in both queues.
                await store.remove_schedule(other.schedule.key)
        schedule = stored_schedule(entry, text, self._app.name, self._app.signer)
        now = datetime.fromtimestamp(await store.time(), UTC)
        first = step(entry.schedule, now) if entry.options.enabled else None
        due = None if first is None else look_at(entry, first)
        outcome = await store.put_schedule(schedule, revision=new_id(), due=due)
        if outcome is PutOutcome.DECLARED:
            raise ScheduleConflict(entry.name, entry.queue, "the code of an app declares an entry of this name")
        if outcome is PutOutcome.TAKEN:
            raise ScheduleConflict(entry.name, entry.queue, "another app has stored a schedule of this name")
        return outcome is not PutOutcome.UNCHANGED

    async def _find(self, name: str, queue: str | None = None) -> tuple[LedgerOfSchedules, ScheduleRecord | None]:
        store = await self._connected()
        for place in self._app.queues if queue is None else (queue,):
            if (record := await self._own(store, CronKey(place, name))) is not None:
                return store, record
        return store, None

    async def _own(self, store: Schedules, key: CronKey) -> ScheduleRecord | None:
        """Return a schedule if it is one of this app: several apps may share a queue."""
        record = await store.get_schedule(key)
        return record if record is not None and record.schedule.app == self._app.name else None

    async def _connected(self) -> LedgerOfSchedules:
        await self._app.connect()
        broker = self._app.broker
        for protocol, name in ((Schedules, "Schedules"), (TickLedger, "TickLedger")):
            if not supports(broker, protocol):
                raise MissingFeature(broker, name, "app.schedules", why_unsupported(broker, protocol))
        return cast("LedgerOfSchedules", broker)


async def _info(store: TickLedger, record: ScheduleRecord) -> ScheduleInfo:
    definition = record.schedule.definition
    status = await store.cron_status(record.schedule.key)
    due = None if record.due is None else datetime.fromtimestamp(record.due, zone_named(definition.tz))
    return ScheduleInfo(
        name=definition.name,
        task=record.schedule.job.task,
        queue=definition.queue,
        expression=definition.expression,
        tz=definition.tz,
        options={name: text for name, text in definition.options.items() if name != "job"},
        enabled=definition.enabled,
        next_at=due,
        pause=None if status is None else status.pause,
        last=None if status is None else status.last,
        status=status,
    )
