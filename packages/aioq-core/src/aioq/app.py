"""The app: a registry of tasks and cron entries, on a broker."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeAlias, TypeVar, Unpack, overload
from zoneinfo import ZoneInfo

from aioq.codec import JsonCodec
from aioq.cron import CronEntry
from aioq.discovery import broker_from_url, scheduler_named
from aioq.errors import MissingFeature, TaskDefinitionError
from aioq.handle import Job
from aioq.ids import check_name
from aioq.options import TaskKeywords, TaskOptions, whole
from aioq.protocols import Broker, Codec, Schedule, Scheduler, TickLedger
from aioq.registry import Registry, name_of, where
from aioq.task import Call, Task, is_generator

__all__ = ["Aarq", "Lifespan", "TaskDecorator"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

Lifespan: TypeAlias = "Callable[[Aarq], AbstractAsyncContextManager[Mapping[str, Any] | None]]"

MIB = 1_048_576


class TaskDecorator(Protocol):
    """What `app.task(...)` returns.

    The context parameter may have any annotation, so that an app can type its own.
    """

    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...


class Aarq:
    """Tasks and crons, and the broker that carries their jobs.

    Args:
        broker: A broker, or a URL whose scheme an installed package knows
            (`redis://localhost:6379/2`, `memory://`). None takes the environment variable
            AIOQ_BROKER_URL, else the embedded memory broker.
        tz: The zone of cron expressions that name none; UTC when None.
        lifespan: Called with the app by every worker as it starts: an async context manager
            around the worker's life. What it yields is added to the context of every task.
        codec: Turns arguments and results into bytes; JSON by default.
        scheduler: A scheduler, or the name under which an installed package provides one.
        max_payload: Bytes that the arguments of a call, or a result, may take.

    Raises:
        DiscoveryError: No installed package, or more than one, provides the broker.
        TypeError, ValueError: An argument is not what it should be; the message names it.
    """

    def __init__(
        self,
        broker: Broker | str | None = None,
        *,
        tz: str | ZoneInfo | None = None,
        lifespan: Lifespan | None = None,
        codec: Codec | None = None,
        scheduler: Scheduler | str = "cron",
        max_payload: int = MIB,
    ) -> None:
        if broker is None:
            broker = os.environ.get("AIOQ_BROKER_URL") or "memory://"
        whole("max_payload", max_payload, 1, 512 * MIB)
        self.broker: Broker = broker_from_url(broker) if isinstance(broker, str) else _checked(broker)
        self.codec: Codec = codec or JsonCodec()
        self.tz = tz
        self.lifespan = lifespan
        self.max_payload = max_payload
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

        Raises:
            DiscoveryError: No scheduler is installed; says what to install.
            ValueError: The expression or the zone is not understood, or never fires. With
                aioq-cron it is an `InvalidCronExpression`.
            DuplicateName: Another entry of the app has the name.
            TaskDefinitionError: The function cannot be called with a context alone.
            MissingFeature: `unique` with a broker that keeps no ledger of ticks.
        """
        scheduler = self.scheduler
        check_name("queue", queue)
        if tz is not None and not isinstance(schedule, str):
            raise ValueError(f"tz is the zone of an expression, and {schedule!r} is none; leave tz out")
        if unique and not isinstance(self.broker, TickLedger):
            raise MissingFeature(self.broker, "TickLedger", "unique=True")

        def register(function: F) -> F:
            _check_cron_function(function)
            zone = tz or self.tz
            entry = CronEntry(
                name=check_name("name", name) if name else self._free_name(function),
                function=function,
                schedule=_parsed(scheduler, schedule, zone, function),
                queue=queue,
                unique=unique,
                expression=_text_of(schedule),
                tz=_zone_of(schedule, zone),
                where=where(function),
            )
            self.crons.add(entry)
            return function

        return register

    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Store many jobs, of any tasks, in one round trip: all of them or none.

        Args:
            calls: What `Task.call` returned.

        Raises:
            BrokerUnavailable: The broker cannot be reached. Whether the jobs were stored is
                unknown; enqueueing the same calls again stores each of them once.
            BrokerFull: The broker has no room; nothing was stored.
            JobConflict: A `job_id` is taken by a different job; nothing was stored.
        """
        calls = list(calls)
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
        decode = call.task.signature.decode_result
        return Job(call.job.id, task=call.task.name, queue=call.job.queue, broker=self.broker, decode=decode)

    def _free_name(self, function: Callable[..., Any]) -> str:
        """Number further entries on the same function; another function's name stays a clash."""
        name = first = name_of(function)
        number = 1
        while (taken := self.crons.get(name)) is not None and taken.function is function:
            number += 1
            name = f"{first}:{number}"
        return name


def _checked(broker: object) -> Broker:
    if isinstance(broker, type) or not isinstance(broker, Broker):
        raise TypeError(f"broker must be a URL or an object with the methods of aioq.protocols.Broker, got {broker!r}")
    return broker


def _parsed(
    scheduler: Scheduler, schedule: str | Schedule, tz: str | ZoneInfo | None, function: Callable[..., Any]
) -> Schedule:
    if isinstance(schedule, Schedule):
        return schedule
    try:
        return scheduler.parse(schedule, tz=tz)
    except (ValueError, TypeError) as error:
        # Said of the entry, in the parser's own type, so that callers can still tell what it is.
        error.args = (f'@app.cron("{schedule}") on {name_of(function)}: {error}', *error.args[1:])
        raise


def _text_of(schedule: str | Schedule) -> str:
    """Return a schedule as text that is the same in every process."""
    if isinstance(schedule, str):
        return schedule
    kind = type(schedule)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return f"{kind.__module__}.{kind.__qualname__}"
    return str(schedule)


def _zone_of(schedule: str | Schedule, tz: str | ZoneInfo | None) -> str:
    """Return the name of the zone that a schedule is read in; a schedule object may have its own."""
    own = tz if isinstance(schedule, str) else getattr(schedule, "tz", None)
    return str(own) if isinstance(own, str | ZoneInfo) else "UTC"


def _check_cron_function(function: Callable[..., Any]) -> None:
    if isinstance(function, Task):
        raise TaskDefinitionError(
            f"{function.name} is a task; a cron entry is a plain function: write one that awaits its enqueue"
        )
    if not callable(function):
        raise TaskDefinitionError(f"a cron entry is a function, got {function!r}")
    if is_generator(function):
        raise TaskDefinitionError(f"{name_of(function)} is a generator: calling it would run none of it")
    try:
        inspect.signature(function).bind({})
    except (TypeError, ValueError) as error:
        raise TaskDefinitionError(f"{name_of(function)} must be callable with the context alone: {error}") from None
