"""Defines the app: a registry of tasks and cron entries on a broker."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta, tzinfo
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeAlias, TypeVar, Unpack, overload

from aioq.callables import calling_module
from aioq.clock import SystemClock
from aioq.conformance import check_broker, supports, why_unsupported
from aioq.counts import JobCounts
from aioq.cron import CronEntry
from aioq.cron.define import (
    CronDraft,
    ScheduleDraft,
    check_options,
    cron_options,
    error_context,
    schedule_options,
    text_of,
)
from aioq.cron.options import CronKeywords, ScheduleKeywords
from aioq.cron.schedule import Schedule
from aioq.cron.scheduler import Scheduler
from aioq.cron.timing import timing_of
from aioq.cron.zones import load_zone
from aioq.discovery import chosen_broker, scheduler_named
from aioq.errors import MissingFeature, TooManyJobs
from aioq.events import Events, JobEvent, JobFact, TickEvent, TickFact, WorkerEvent, WorkerFact
from aioq.handle import Job
from aioq.instrumentation import Instrumentation, enqueue_watched
from aioq.model.ids import check_name
from aioq.options import TaskKeywords, TaskOptions, whole
from aioq.protocols import Broker, TickLedger
from aioq.registry import Registry
from aioq.schedules import AppSchedules
from aioq.serialization.codec import Codec
from aioq.serialization.json_codec import JsonCodec
from aioq.serialization.signing import Signer
from aioq.task import Call, Task, TaskDecorator, checked_calls, hint_at_other_libraries

__all__ = ["Aarq", "Lifespan"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

Lifespan: TypeAlias = "Callable[[Aarq], AbstractAsyncContextManager[Mapping[str, Any] | None]]"

_CLOCK = SystemClock()

MIB = 1_048_576
MAX_JOBS_PER_CALL = 100_000


@hint_at_other_libraries
class Aarq:
    """An app: its tasks and cron entries, and the broker that stores their jobs.

    Args:
        broker: A broker, or a URL whose scheme an installed package provides
            (`redis://localhost:6379/2`, `memory://`). None uses the environment variable
            AIOQ_BROKER_URL, or else the embedded memory broker.
        name: The name under which the app's cron entries are registered with the broker: the same
            in all processes of the app, and unique among apps. None uses the name of the module
            that creates the app, so a module that creates two apps must name them.
        tz: The time zone of cron expressions that have none of their own; UTC when None.
        lifespan: An async context manager function that every worker enters as it starts, with the
            app as its argument, and leaves as it stops. The mapping that it yields is added to the
            context of every task.
        codec: Converts arguments and results to bytes and back; JSON by default.
        namespace: The namespace of a broker that is given by its URL; what is stored in one namespace is not seen
            in another. None uses the broker's default.
        broker_options: Further keyword arguments for a broker that is given by its URL, such as
            `{"timeout": 60.0}` for `RedisBroker`.
        scheduler: A scheduler, or the name under which an installed package provides one.
        max_payload: Limit for the encoded arguments of a call, and for a result, in bytes;
            1 byte to 512 MiB.
        signing_keys: Secrets of at least 16 bytes that sign calls and results, so that workers
            reject jobs of clients without a key. The first key signs; all keys are accepted, so that
            keys can be rotated. None signs nothing.

    Attributes:
        connected: Whether the app has connected its broker. Do not set it.
        tasks: The registered tasks.
        crons: The registered cron entries.
        events: Passes facts to the listeners of `on`.
        instruments: What was added with `instrument`.
        counts: Counts what this process does with jobs, and reports it to the broker.

    Raises:
        DiscoveryError: No installed package, or more than one, provides the broker.
        TypeError: The broker has no such option, or is an object, which has its options already.
        TypeError, ValueError: An argument has the wrong type or is out of range; the message names it.
    """

    def __init__(
        self,
        broker: Broker | str | None = None,
        *,
        name: str | None = None,
        tz: str | tzinfo | None = None,
        lifespan: Lifespan | None = None,
        codec: Codec | None = None,
        namespace: str | None = None,
        broker_options: Mapping[str, Any] | None = None,
        scheduler: Scheduler | str = "cron",
        max_payload: int = MIB,
        signing_keys: Sequence[str | bytes] | None = None,
    ) -> None:
        whole("max_payload", max_payload, 1, 512 * MIB)
        given = {} if namespace is None else {"namespace": namespace}
        self.broker: Broker = chosen_broker(broker, {**given, **(broker_options or {})})
        self.name = calling_module() if name is None else check_name("name", name)
        self.codec: Codec = codec or JsonCodec()
        self.tz = _checked_zone(tz)
        self.lifespan = lifespan
        self.max_payload = max_payload
        self.signer = None if signing_keys is None else Signer(signing_keys)
        self.tasks: Registry[Task[..., Any]] = Registry("task")
        self.crons: Registry[CronEntry] = Registry("cron entry")
        self.events = Events()
        self.instruments: tuple[Instrumentation, ...] = ()
        self.counts = JobCounts(self.broker)
        if self.counts.enabled:
            self.events.add(JobEvent.CANCELLED, self.counts.on_cancelled)
        self.connected = False
        self._scheduler = scheduler

    def __repr__(self) -> str:
        return f"<Aarq on {self.broker!r}: {len(self.tasks)} tasks, {len(self.crons)} cron entries>"

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues of the app's tasks and cron entries, sorted; `default` if there are none."""
        names = {task.defaults.queue for task in self.tasks} | {entry.queue for entry in self.crons}
        return tuple(sorted(names or {"default"}))

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler that parses the app's cron expressions and runs their loop.

        Raises:
            DiscoveryError: The scheduler is not installed; the message says what to install.
        """
        # Not in the constructor: an app without expressions needs no scheduler package.
        if isinstance(self._scheduler, str):
            self._scheduler = scheduler_named(self._scheduler)
        return self._scheduler

    @property
    def schedules(self) -> AppSchedules:
        """The schedules that the broker stores for the app, and that change while workers run."""
        return AppSchedules(self)

    @overload
    def task(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...
    @overload
    def task(self, /, *, name: str | None = None, **options: Unpack[TaskKeywords]) -> TaskDecorator: ...
    def task(
        self, function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Unpack[TaskKeywords]
    ) -> Any:
        """Register a function as a task, with or without options: `@app.task`, `@app.task(retries=3)`.

        The first parameter of the function is the context. A plain `def` runs in a worker thread.

        Args:
            function: The function, when the decorator is used without options.
            name: The name of the task in stored jobs; `module.function` when None. If you rename a
                function that has waiting jobs, set the old name here, or workers do not find it.
            options: The fields of `TaskOptions`.

        Raises:
            TaskDefinitionError: The function cannot be a task.
            DuplicateName: Another task of the app has the name.
            TypeError, ValueError: An option is unknown or out of range; the message names it.
        """
        if options.keys() - TaskKeywords.__optional_keys__:
            check_options(options, TaskKeywords.__optional_keys__, "help(TaskOptions) lists the options")
        chosen = TaskOptions(**options)

        def register(function: Callable[..., Any]) -> Task[..., Any]:
            task: Task[..., Any] = Task(self, function, chosen, name)
            self.tasks.add(task)
            return task

        return register if function is None else register(function)

    def cron(
        self,
        schedule: str | Schedule,
        *,
        queue: str = "default",
        name: str | None = None,
        tz: str | tzinfo | None = None,
        seconds: Literal["first", "last"] | None = None,
        dialect: str | None = None,
        unique: bool = False,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        on_error: Callable[..., Any] | None = None,
        **options: Unpack[CronKeywords],
    ) -> Callable[[F], F]:
        """Register a function that workers call on a schedule. The decorator returns it unchanged.

        Every worker that consumes `queue` calls it in its own event loop, with a `CronContext`:
        there is no job, no retry and no result. An exception is logged on `aioq.worker` and does not
        change later runs.

        Args:
            schedule: A cron expression of five fields, or any object with `next_after`.
            queue: Only workers that consume this queue fire the entry.
            name: The name of the entry; `module.function` when None, with `:2` and so on
                for further entries of one function.
            tz: The time zone of the expression; when None that of the app, or else UTC.
            seconds: The place of a sixth field, which has the seconds; none when None.
            dialect: The system as whose text the expression is read: with aioq-cron `quartz`, `aws`,
                `croniter`, `jenkins` or `spring`.
            unique: Fire once per tick for the whole fleet instead of once on each worker.
            args: Positional arguments of the function, after the context.
            kwargs: Keyword arguments of the function.
            on_error: Called with the context and the exception if the function raises or exceeds
                its `timeout`.
            options: The fields of `CronOptions`.

        Raises:
            DiscoveryError: No scheduler is installed; the message says what to install.
            TypeError, ValueError: An option is unknown or out of range, the expression or the zone
                is invalid, or the expression never fires. aioq-cron raises its
                `InvalidCronExpression` for the latter.
            DuplicateName: Another entry of the app has the name.
            TaskDefinitionError: The function cannot be called with the context and these arguments.
            MissingFeature: `unique` is set, and the broker has no tick ledger.
        """
        with error_context(lambda: f"@app.cron({text_of(schedule)})"):
            draft = CronDraft(
                timing=timing_of(self, schedule, cron_options(options), tz=tz, seconds=seconds, dialect=dialect),
                name=name,
                queue=queue,
                unique=unique,
                args=args,
                kwargs={} if kwargs is None else kwargs,
                on_error=on_error,
            )
        if unique:
            # Here, so that the error names this line of the program and not the start of a worker.
            self._need_ledger("unique=True")

        def register(function: F) -> F:
            self.crons.add(draft.entry(function, self.crons))
            return function

        return register

    def schedule(
        self,
        task: Task[..., Any],
        schedule: str | Schedule,
        *,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        tz: str | tzinfo | None = None,
        seconds: Literal["first", "last"] | None = None,
        dialect: str | None = None,
        expires: float | timedelta | None = None,
        **options: Unpack[ScheduleKeywords],
    ) -> str:
        """Enqueue one job of a task at each tick, once for the whole fleet. Returns the entry's name.

        The job has the queue, retries and other options of the task. Its context is a
        `ScheduledContext`.

        Args:
            task: A task of this app.
            schedule: A cron expression of five fields, or any object with `next_after`.
            args: Positional arguments of the job. They are checked and encoded by this call.
            kwargs: Keyword arguments of the job.
            name: The name of the entry; the task's name when None, with `:2` and so on for
                further schedules of one task.
            tz: The time zone of the expression; when None that of the app, or else UTC.
            seconds: The place of a sixth field, which has the seconds; none when None.
            dialect: The system as whose text the expression is read: with aioq-cron `quartz`, `aws`,
                `croniter`, `jenkins` or `spring`.
            expires: Seconds (or a timedelta) from the moment at which the job of a tick was enqueued to its latest
                start. A job that was not started in time is `expired` and is not run. At most 10 years.
            options: The fields of `CronOptions` except `timeout`, which is set on the task.

        Raises:
            SerializationError, PayloadTooLarge: The arguments do not fit the task, or exceed the limit.
            DiscoveryError, TypeError, ValueError, DuplicateName, MissingFeature: As in `cron`.
        """
        self._need_ledger("app.schedule")
        with error_context(lambda: f"app.schedule({text_of(task)}, {text_of(schedule)})"):
            draft = ScheduleDraft(
                timing=timing_of(self, schedule, schedule_options(options), tz=tz, seconds=seconds, dialect=dialect),
                name=name,
                args=args,
                kwargs={} if kwargs is None else kwargs,
                expires=expires,
            )
            entry = draft.entry(task, self.tasks, self.crons)
        self.crons.add(entry)
        return entry.name

    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Store many jobs, of any tasks, in one round trip: all of them or none.

        Args:
            calls: Calls of any tasks of this app, 100,000 at most.

        Raises:
            TypeError: An item is no call; nothing was stored.
            TooManyJobs: There are more than 100,000 calls; nothing was stored.
            BrokerUnavailable: The broker cannot be reached. Whether the jobs were stored is
                unknown. Enqueueing the same calls again stores each of them once.
            BrokerFull: The broker has no room; nothing was stored.
            JobConflict: A `job_id` is taken by a different job; nothing was stored.
        """
        # It may be a generator, and is read twice.
        calls = checked_calls(calls)
        if len(calls) > MAX_JOBS_PER_CALL:
            raise TooManyJobs(len(calls), MAX_JOBS_PER_CALL)
        await self.connect()
        jobs = [call.job for call in calls]
        if self.instruments:
            is_new = await enqueue_watched(self.broker, self.instruments, jobs, batch=True)
        else:
            is_new = await self.broker.enqueue(jobs)
        if self.counts.add_enqueued(jobs, is_new):
            await self.counts.report()
        if JobEvent.ENQUEUED in self.events.listeners:
            self.events.fire_enqueued(jobs, is_new, at=_CLOCK.time())
        return [call.task.handle(call.job.id, call.job.queue) for call in calls]

    @overload
    def on(self, event: JobEvent | type[JobEvent], listener: Callable[[JobFact], object], /) -> None: ...
    @overload
    def on(self, event: TickEvent | type[TickEvent], listener: Callable[[TickFact], object], /) -> None: ...
    @overload
    def on(self, event: WorkerEvent | type[WorkerEvent], listener: Callable[[WorkerFact], object], /) -> None: ...
    def on(self, event: Any, listener: Callable[[Any], object], /) -> None:
        """Call a function with the fact of an event in this process: `app.on(JobEvent.FAILED, alert)`.

        A client has the events of what it enqueues and cancels, a worker those of what it runs and fires.
        An outcome is an event when the broker has accepted it. The listeners are called one after the
        other, in the event loop, which waits for them: a listener must not block. If one raises, that is
        logged, and has no other effect.

        Args:
            event: An event, or a class of events for all of them, such as `JobEvent`.
            listener: A plain function. It gets a `JobFact`, a `TickFact` or a `WorkerFact`.

        Raises:
            TypeError: `event` is none, or `listener` is not callable, or a coroutine function.
        """
        self.events.add(event, listener)

    def off(self, event: Any, listener: Callable[[Any], object], /) -> None:
        """Call a listener of `on` no more for an event. Does nothing if it is none."""
        self.events.remove(event, listener)

    def instrument(self, instrumentation: Instrumentation, /) -> None:
        """Call a tracer around each enqueue, each run of a job and each call of a cron in this process.

        Add it before the app enqueues, and before a worker of the app starts. Several are entered in
        the order in which they were added, and left in the opposite order.
        """
        self.instruments = (*self.instruments, instrumentation)

    async def connect(self) -> None:
        """Connect the broker, unless it is connected. Enqueueing connects it by itself.

        Raises:
            BrokerUnavailable: The broker does not answer.
            BrokerConfigError: The address, the credentials or the settings of the broker are wrong; or the broker does
                not conform to this version of `aioq.protocols`.
        """
        if not self.connected:
            check_broker(self.broker)
            await self.broker.connect()
            # Last, so that a failed connection is tried again by the next call.
            self.connected = True

    async def close(self) -> None:
        """Report counts that are left, and close the broker's connections. The app may connect again."""
        if self.connected:
            await self.counts.close()
        self.connected = False
        await self.broker.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _need_ledger(self, needed_for: str) -> None:
        if not supports(self.broker, TickLedger):
            why = why_unsupported(self.broker, TickLedger)
            raise MissingFeature(self.broker, "TickLedger", needed_for, why)


def _checked_zone(tz: object) -> str | tzinfo | None:
    if isinstance(tz, str):
        try:
            load_zone(tz)
        except ValueError as error:
            raise ValueError(
                f"{error}; a zone is named like Europe/Berlin or Etc/GMT-1; if the system has no time zones, "
                "run: pip install tzdata"
            ) from None
        return tz
    if tz is not None and not isinstance(tz, tzinfo):
        raise TypeError(f'tz is a name such as "Europe/Berlin", a tzinfo or None, got {tz!r}')
    return tz
