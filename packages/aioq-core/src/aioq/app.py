"""The app: a registry of tasks and cron entries, on a broker."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeAlias, TypeVar, Unpack, overload
from zoneinfo import ZoneInfo

from aioq.cron import CronEntry, CronOptions
from aioq.cron.define import CronDraft, ScheduleDraft, Timing, cron_options, error_context, schedule_options, text_of
from aioq.cron.options import CronKeywords, ScheduleKeywords
from aioq.cron.schedule import Schedule
from aioq.cron.scheduler import Scheduler
from aioq.discovery import chosen_broker, scheduler_named
from aioq.errors import MissingFeature, TooManyJobs
from aioq.handle import Job
from aioq.model.ids import check_name
from aioq.options import TaskKeywords, TaskOptions, whole
from aioq.protocols import Broker, TickLedger
from aioq.registry import Registry, calling_module
from aioq.serialization.codec import Codec
from aioq.serialization.json_codec import JsonCodec
from aioq.serialization.signing import Signer
from aioq.task import Call, Task, TaskDecorator

__all__ = ["Aarq", "Lifespan"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

Lifespan: TypeAlias = "Callable[[Aarq], AbstractAsyncContextManager[Mapping[str, Any] | None]]"

MIB = 1_048_576
MOST_TOGETHER = 100_000


class Aarq:
    """Tasks and crons, and the broker that carries their jobs.

    Args:
        broker: A broker, or a URL whose scheme an installed package knows
            (`redis://localhost:6379/2`, `memory://`). None takes the environment variable
            AIOQ_BROKER_URL, else the embedded memory broker.
        name: What the app's cron entries are registered under with the broker: the same in
            all processes of the app, and in no other app. The module that makes the app when
            None, so a module that makes two of them has to give names.
        tz: The zone of cron expressions that name none; UTC when None.
        lifespan: Called with the app by every worker as it starts: an async context manager
            around the worker's life. What it yields is added to the context of every task.
        codec: Turns arguments and results into bytes; JSON by default.
        scheduler: A scheduler, or the name under which an installed package provides one.
        max_payload: Bytes that the arguments of a call, or a result, may take.
        signing_keys: Secrets of at least 16 bytes with which calls and results are signed, so that
            who can write to the broker but has no key can ask for nothing. The first one signs;
            all of them are accepted, so that keys can be replaced. None signs nothing.

    Raises:
        DiscoveryError: No installed package, or more than one, provides the broker.
        TypeError, ValueError: An argument is not what it should be; the message names it.
    """

    def __init__(
        self,
        broker: Broker | str | None = None,
        *,
        name: str | None = None,
        tz: str | ZoneInfo | None = None,
        lifespan: Lifespan | None = None,
        codec: Codec | None = None,
        scheduler: Scheduler | str = "cron",
        max_payload: int = MIB,
        signing_keys: Sequence[str | bytes] | None = None,
    ) -> None:
        whole("max_payload", max_payload, 1, 512 * MIB)
        self.broker: Broker = chosen_broker(broker)
        self.name = calling_module() if name is None else check_name("name", name)
        self.codec: Codec = codec or JsonCodec()
        self.tz = tz
        self.lifespan = lifespan
        self.max_payload = max_payload
        self.signer = None if signing_keys is None else Signer(signing_keys)
        self.tasks: Registry[Task[..., Any]] = Registry("task")
        self.crons: Registry[CronEntry] = Registry("cron entry")
        self._scheduler = scheduler
        self._connected = False

    def __repr__(self) -> str:
        return f"<Aarq on {self.broker!r}: {len(self.tasks)} tasks, {len(self.crons)} cron entries>"

    @property
    def queues(self) -> tuple[str, ...]:
        """Every queue that a task or cron entry of the app names, sorted."""
        names = {task.defaults.queue for task in self.tasks} | {entry.queue for entry in self.crons}
        return tuple(sorted(names or {"default"}))

    @property
    def scheduler(self) -> Scheduler:
        """What parses this app's cron expressions and runs their loop.

        Raises:
            DiscoveryError: It is not installed; says what to install.
        """
        if isinstance(self._scheduler, str):
            self._scheduler = scheduler_named(self._scheduler)
        return self._scheduler

    @overload
    def task(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...
    @overload
    def task(self, /, *, name: str | None = None, **options: Unpack[TaskKeywords]) -> TaskDecorator: ...
    def task(
        self, function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Unpack[TaskKeywords]
    ) -> Any:
        """Make a function a task, with or without options: `@app.task`, `@app.task(retries=3)`.

        The function takes the context first. A plain `def` runs in a worker thread.

        Args:
            function: The function, when the decorator is used without options.
            name: What jobs call the task; `module.function` when None. Renaming a function
                that has jobs in line orphans them: keep the old name here.
            options: The fields of `TaskOptions`.

        Raises:
            TaskDefinitionError: The function cannot be a task.
            DuplicateName: Another task of the app has the name.
            TypeError, ValueError: An option is unknown or out of range; the message names it.
        """
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
        tz: str | ZoneInfo | None = None,
        unique: bool = False,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        on_error: Callable[..., Any] | None = None,
        **options: Unpack[CronKeywords],
    ) -> Callable[[F], F]:
        """Have workers call a function on a schedule. Returns the function unchanged.

        Every worker that consumes `queue` calls it in its own event loop, with a context
        that has no `job_id`: there is no job, no retry and no result. An exception is logged
        on `aioq.worker`, and the next run comes as planned.

        Args:
            schedule: A cron expression of five fields, or any object with `next_after`.
            queue: Only workers that consume this queue fire the entry.
            name: What the entry is called; `module.function` when None, with `:2` and so on
                for further entries on one function.
            tz: The zone that the expression is read in; the app's when None, and else UTC.
            unique: Fire once per tick for the whole fleet instead of once on each worker.
            args: What the function is called with, after the context.
            kwargs: The same, by name.
            on_error: Called with the context and the exception when the function raises or
                runs out of time.
            options: The fields of `CronOptions`.

        Raises:
            DiscoveryError: No scheduler is installed; says what to install.
            TypeError, ValueError: An option is unknown or out of range, or the expression or
                the zone is not understood, or never fires. With aioq-cron the latter is an
                `InvalidCronExpression`.
            DuplicateName: Another entry of the app has the name.
            TaskDefinitionError: The function cannot be called with the context and these arguments.
            MissingFeature: `unique` with a broker that keeps no ledger of ticks.
        """
        with error_context(f"@app.cron({text_of(schedule)})"):
            draft = CronDraft(
                timing=self._timing(schedule, tz, cron_options(options)),
                name=name,
                queue=queue,
                unique=unique,
                args=args,
                kwargs={} if kwargs is None else kwargs,
                on_error=on_error,
            )
        if unique:
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
        tz: str | ZoneInfo | None = None,
        **options: Unpack[ScheduleKeywords],
    ) -> str:
        """Have one job of a task enqueued at each tick, whatever the fleet. Returns the entry's name.

        The job is as durable as any: it has leases and the task's retries, and its queue and
        options are the task's. Its context is a `ScheduledContext`.

        Args:
            task: A task of this app.
            schedule: A cron expression of five fields, or any object with `next_after`.
            args: The arguments of the job, checked and encoded here and now.
            kwargs: The same, by name.
            name: What the entry is called; the task's name when None, with `:2` and so on for
                further schedules of one task.
            tz: The zone that the expression is read in; the app's when None, and else UTC.
            options: The fields of `CronOptions` but for `timeout`, which is the task's.

        Raises:
            SerializationError, PayloadTooLarge: The arguments do not fit the task, or the limit.
            DiscoveryError, TypeError, ValueError, DuplicateName, MissingFeature: As in `cron`.
        """
        self._need_ledger("app.schedule")
        with error_context(f"app.schedule({text_of(task)}, {text_of(schedule)})"):
            draft = ScheduleDraft(
                timing=self._timing(schedule, tz, schedule_options(options)),
                name=name,
                args=args,
                kwargs={} if kwargs is None else kwargs,
            )
            entry = draft.entry(task, self.tasks, self.crons)
        self.crons.add(entry)
        return entry.name

    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Store many jobs, of any tasks, in one round trip: all of them or none.

        Args:
            calls: What `Task.call` returned, 100,000 at most.

        Raises:
            TooManyJobs: There are more; nothing was stored.
            BrokerUnavailable: The broker cannot be reached. Whether the jobs were stored is
                unknown; enqueueing the same calls again stores each of them once.
            BrokerFull: The broker has no room; nothing was stored.
            JobConflict: A `job_id` is taken by a different job; nothing was stored.
        """
        calls = list(calls)
        if len(calls) > MOST_TOGETHER:
            raise TooManyJobs(len(calls), MOST_TOGETHER)
        await self.connect()
        await self.broker.enqueue([call.job for call in calls])
        return [self._handle(call) for call in calls]

    @property
    def connected(self) -> bool:
        """Whether the app has connected its broker, and not closed it since."""
        return self._connected

    async def connect(self) -> None:
        """Connect the broker, unless it is connected. Enqueueing does so by itself."""
        if not self._connected:
            await self.broker.connect()
            self._connected = True

    async def close(self) -> None:
        """Let go of the broker's connections. The app may connect again."""
        self._connected = False
        await self.broker.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _handle(self, call: Call[R]) -> Job[R]:
        decode = call.task.result_reader(call.job.id)
        return Job(call.job.id, task=call.task.name, queue=call.job.queue, broker=self.broker, decode=decode)

    def _timing(self, schedule: str | Schedule, tz: str | ZoneInfo | None, options: CronOptions) -> Timing:
        if tz is not None and not isinstance(schedule, str):
            raise ValueError(f"tz is the zone of an expression, and {schedule!r} is none; leave tz out")
        zone = self.tz if tz is None else tz
        return Timing(said=schedule, zone=zone, scheduler=self.scheduler, options=options)

    def _need_ledger(self, needed_for: str) -> None:
        if not isinstance(self.broker, TickLedger):
            raise MissingFeature(self.broker, "TickLedger", needed_for)
