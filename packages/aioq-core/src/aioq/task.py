"""Defines tasks: registered functions, and the ways to enqueue a run of one."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, Protocol, TypeVar, cast, overload

from msgspec import structs

from aioq.callables import (
    check_context_parameter,
    is_async,
    is_generator,
    name_of,
    own_name,
    package_of,
    where,
)
from aioq.clock import SystemClock
from aioq.counts import JobCounts
from aioq.errors import (
    BadSignature,
    PayloadTooLarge,
    ResultSerializationError,
    SerializationError,
    TaskDefinitionError,
)
from aioq.events import Events, JobEvent
from aioq.handle import Job
from aioq.instrumentation import Instrumentation, enqueue_watched
from aioq.model.ids import check_name, new_id
from aioq.model.job import Lease, NewJob
from aioq.options import EnqueueOptions, TaskOptions, check_job_id
from aioq.protocols import Broker
from aioq.serialization.annotations import signature_of
from aioq.serialization.arguments import CallSignature
from aioq.serialization.codec import Codec
from aioq.serialization.signing import OVERHEAD, Signer, Subject, looks_signed
from aioq.signed_options import check_terms, terms_of
from aioq.threads import in_bounded_thread

__all__ = ["Call", "Enqueuer", "Task", "TaskDecorator", "TaskWithOptions", "checked_calls", "hint_at_other_libraries"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

_NO_OPTIONS = EnqueueOptions()

_CLOCK = SystemClock()

_ENQUEUED = JobEvent.ENQUEUED  # a name of its own: to read it from its class takes longer

OTHER_LIBRARIES: Mapping[str, str] = {
    "delay": "await task.enqueue(...)",
    "apply_async": "await task.options(defer_by=...).enqueue(...)",
    "s": "task.call(...)",
    "kiq": "await task.enqueue(...)",
    "kicker": "task.options(...)",
    "send": "await task.enqueue(...)",
    "send_with_options": "await task.options(...).enqueue(...)",
    "schedule": "await task.options(defer_by=...).enqueue(...), or app.schedule(task, ...)",
    "send_task": 'await app.tasks["name"].enqueue(...)',
    "enqueue_job": 'await app.tasks["name"].enqueue(...)',
    "enqueue": "await task.enqueue(...)",
}
"""What to write instead of a method that another library has."""


class MethodElsewhere:
    """A method that other libraries have, and aioq has not: reading it raises an error that says what to write.

    A `__getattr__` of the class could do that for all names at once, but every other attribute would be slower to read.
    """

    def __init__(self, name: str, instead: str) -> None:
        self._name = name
        self._instead = instead

    def __get__(self, instance: object, owner: type) -> NoReturn:
        raise AttributeError(f"{owner.__name__} has no attribute {self._name}; in aioq it is: {self._instead}")


def hint_at_other_libraries(kind: type[T]) -> type[T]:
    """Give a class a `MethodElsewhere` for each method of other libraries that it does not have."""
    for name, instead in OTHER_LIBRARIES.items():
        if not hasattr(kind, name):
            setattr(kind, name, MethodElsewhere(name, instead))
    return kind


class Enqueuer(Protocol):
    """The part of an app that its tasks use."""

    @property
    def broker(self) -> Broker:
        """The broker that stores the jobs."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the broker is connected."""
        ...

    @property
    def events(self) -> Events:
        """Passes facts to listeners."""
        ...

    @property
    def instruments(self) -> Sequence[Instrumentation]:
        """What is called around enqueues, runs and ticks."""
        ...

    @property
    def counts(self) -> JobCounts:
        """Counts jobs, and reports the counts to the broker."""
        ...

    @property
    def codec(self) -> Codec:
        """Converts arguments and results to bytes and back."""
        ...

    @property
    def max_payload(self) -> int:
        """Limit for the encoded arguments of a call, in bytes."""
        ...

    @property
    def signer(self) -> Signer | None:
        """Signs calls and results; None if the app has no signing keys."""
        ...

    async def connect(self) -> None:
        """Connect the broker; see `Aarq.connect`."""
        ...

    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Store jobs, all or none; see `Aarq.enqueue_many`."""
        ...


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """A call of a task, bound and encoded, that can be enqueued later.

    It contains the job id: enqueueing the same call twice stores one job.
    """

    task: Task[..., R]
    job: NewJob


@hint_at_other_libraries
class Task(Generic[P, R]):
    """A function that workers run, made by `@app.task`. `enqueue` stores a job that runs it."""

    def __init__(self, app: Enqueuer, function: Callable[..., Any], options: TaskOptions, name: str | None) -> None:
        _check_function(function)
        self._app = app
        self.function = function
        self.defaults = options
        self.name = check_name("name", name or own_name(function, 'app.task(name="...")'))
        self.where = where(function)
        self.package = package_of(function)
        self.is_async = is_async(function)
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    async def __call__(self, ctx: Mapping[str, Any], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function in this process, without a broker: for tests and for other tasks.

        A plain `def` function runs in a worker thread.
        """
        return cast(R, await self.run(ctx, args, kwargs))

    async def run(
        self,
        ctx: Mapping[str, Any],
        args: Iterable[Any],
        kwargs: Mapping[str, Any],
        *,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = in_bounded_thread,
    ) -> Any:
        """Run the function with arguments that are already bound.

        If a plain `def` returns an awaitable, as decorators around an `async def` do, the event loop
        awaits it.

        Args:
            in_thread: Runs a plain `def` function in a thread.
        """
        if self.is_async:
            return await self.function(ctx, *args, **kwargs)
        return await in_thread(partial(self.function, ctx, *args, **kwargs))

    @cached_property
    def signature(self) -> CallSignature:
        """Encodes and decodes calls of the function. Built on first use, when all annotations can be resolved.

        Raises:
            TaskDefinitionError: An annotation cannot be resolved, or the codec does not support its type.
        """
        keeps_result = self.defaults.save_result and self.defaults.result_ttl > 0
        return CallSignature(self.function, self._app.codec, self.name, keeps_result=keeps_result)

    async def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Store a job that runs the task with these arguments.

        The job is stored when the call returns. Concurrent calls share round trips.

        Raises:
            TypeError: The task does not take these arguments.
            SerializationError: An argument does not fit its annotation, or cannot be encoded without loss.
            PayloadTooLarge: The arguments exceed the app's `max_payload`.
            BrokerUnavailable: The broker cannot be reached. Whether the job was stored is
                unknown. To be able to repeat the enqueue, make a `call` first and pass that to
                `enqueue_many`: it is stored once.
            BrokerFull: The broker has no room.
        """
        return await self.store(self.make_call(_NO_OPTIONS, args, kwargs).job)

    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Store many jobs in one round trip: all of them or none.

        Args:
            calls: Calls of this task, 100,000 at most.

        Raises:
            TypeError: An item is no call; nothing was stored.
            ValueError: A call is of another task; nothing was stored.
            TooManyJobs: There are more than 100,000 calls; nothing was stored.
            BrokerUnavailable, BrokerFull: As in `enqueue`.
        """
        calls = checked_calls(calls, f"{self.name.rpartition('.')[2]}.call")
        for call in calls:
            if call.task is not self:
                raise ValueError(
                    f"enqueue_many of {self.name} was given a call of {call.task.name}; use app.enqueue_many"
                )
        return await self._app.enqueue_many(calls)

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return a call of the task, for `enqueue_many`.

        Raises:
            TypeError, SerializationError, PayloadTooLarge: As in `enqueue`.
        """
        return self.make_call(_NO_OPTIONS, args, kwargs)

    def options(
        self,
        *,
        defer_by: float | timedelta = 0.0,
        defer_until: datetime | None = None,
        priority: int | None = None,
        job_id: str | None = None,
        expires: float | timedelta | datetime | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TaskWithOptions[P, R]:
        """Return the task with options for the jobs that are enqueued through the returned object.

        `await send.options(defer_by=60).enqueue("a@b.c")`

        Args:
            defer_by: Seconds (or a timedelta) until the job is due; at most 10 years.
            defer_until: The aware moment at which the job is due.
            priority: 0 (last) to 9 (first).
            job_id: The id of the job. Enqueueing it again stores no second job as long as the
                broker knows the first.
            expires: Seconds (or a timedelta) from the due time of the job to its latest start,
                or the latest start as an aware moment. A job that no worker started in time is
                `expired` and is not run.
            headers: Text that each run finds in `ctx["headers"]`: at most 32 names and values, of
                8,192 bytes together in UTF-8. They are not signed.

        Raises:
            TypeError, ValueError: An option is out of its range; the message names it.
        """
        chosen = EnqueueOptions(
            defer_by=defer_by,
            defer_until=defer_until,
            priority=priority,
            job_id=job_id,
            expires=expires,
            headers=headers,
        )
        return TaskWithOptions(self, chosen)

    def job(self, job_id: str) -> Job[R]:
        """Return the handle of a job of this task that was enqueued elsewhere.

        Raises:
            TypeError, InvalidJobId: `job_id` is not a job id.
        """
        return self.handle(check_job_id(job_id), self.defaults.queue)

    def handle(self, job_id: str, queue: str) -> Job[R]:
        """Return the handle of a job of this task."""
        decode = self.result_decoder(job_id, queue)
        app = self._app
        return Job(job_id, task=self.name, queue=queue, broker=app.broker, decode=decode, events=app.events)

    async def store(self, job: NewJob) -> Job[R]:
        """Store one job of this task, and return its handle."""
        # A plain attribute: an `await` of `connect` would cost every enqueue some time.
        if not self._app.connected:
            await self._app.connect()
        if instruments := self._app.instruments:
            is_new = await enqueue_watched(self._app.broker, instruments, [job])
        else:
            is_new = await self._app.broker.enqueue([job])
        if self._app.counts.add_enqueued([job], is_new):
            await self._app.counts.report()
        if _ENQUEUED in self._app.events.listeners:
            self._app.events.fire_enqueued([job], is_new, at=_CLOCK.time())
        return self.handle(job.id, job.queue)

    def make_call(
        self,
        chosen: EnqueueOptions,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        schedule_id: str | None = None,
    ) -> Call[R]:
        """Bind, check and encode a call; sign it if the app has signing keys.

        Args:
            chosen: The options of this job.
            args: Positional arguments, without the context.
            kwargs: Keyword arguments.
            schedule_id: The id of the job if it is the template of an `app.schedule`. A template is not signed.
        """
        payload = self.signature.encode(args, kwargs)
        # Before it is signed, so that the limit is the same with and without signing keys.
        if len(payload) > self._app.max_payload:
            raise PayloadTooLarge(f"a call of {self.name}", len(payload), self._app.max_payload)
        defaults = self.defaults
        # Chosen here and not by the broker, so that a call that is repeated after a lost answer has the same id.
        job_id = schedule_id or chosen.job_id or new_id()
        job = NewJob(
            id=job_id,
            task=self.name,
            queue=defaults.queue,
            payload=payload,
            priority=defaults.priority if chosen.priority is None else chosen.priority,
            delay=chosen.delay,
            run_at=chosen.run_at,
            expires=chosen.expires_after,
            expires_at=chosen.expires_at,
            max_crashes=defaults.max_crashes,
            headers=chosen.sent_headers,
        )
        return Call(self, job if schedule_id or self._app.signer is None else self.signed(job))

    @property
    def signs(self) -> bool:
        """Whether the app has signing keys."""
        return self._app.signer is not None

    def signed(self, job: NewJob) -> NewJob:
        """Return a job whose payload is signed, if the app has signing keys; the same job otherwise."""
        if (signer := self._app.signer) is None:
            return job
        subject = Subject("call", job.task, job.queue, job.id)
        return structs.replace(job, payload=signer.seal(subject, job.payload, terms=terms_of(job)))

    def read_arguments(self, lease: Lease) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and keyword arguments of a job.

        Raises:
            PayloadTooLarge: The payload exceeds `max_payload`. It was not decoded.
            BadSignature: The signature is missing or wrong. The payload was not decoded.
            SerializationError: The arguments do not fit the task.
        """
        payload, limit, signer = lease.payload, self._app.max_payload, self._app.signer
        # Checked here too: another program may have stored the job, and decoding a large payload blocks the event loop.
        if len(payload) > limit and (signer is None or len(payload) > limit + OVERHEAD):
            raise PayloadTooLarge(f"the call of {self.name}", len(payload), limit)
        if signer is not None:
            payload, terms = signer.unseal(Subject("call", lease.task, lease.queue, lease.job_id), payload)
            check_terms(lease, terms)
        try:
            return self.signature.decode(payload)
        except SerializationError:
            # Only after the decoder has failed, so that apps without keys do not pay for the check.
            if signer is None and looks_signed(payload):
                raise BadSignature(f"the call of {self.name} is signed, and this app has no signing_keys") from None
            raise

    def encode_result(self, lease: Lease, result: object) -> bytes:
        """Return the result of a job as it is stored: encoded, and signed if the app has signing keys.

        Raises:
            ResultSerializationError: The result cannot be encoded.
            PayloadTooLarge: The encoded result exceeds `max_payload`.
        """
        try:
            data = self._app.codec.encode(result)
        except SerializationError as error:
            raise ResultSerializationError(f"the result of {self.name} cannot be stored: {error}") from None
        if len(data) > self._app.max_payload:
            raise PayloadTooLarge(f"the result of {self.name}", len(data), self._app.max_payload)
        if (signer := self._app.signer) is None:
            return data
        return signer.seal(Subject("result", self.name, lease.queue, lease.job_id), data)

    def result_decoder(self, job_id: str, queue: str) -> Callable[[bytes], Any]:
        """Return a function that decodes the stored result of a job.

        The function raises `BadSignature` if the app has signing keys and the signature is wrong,
        `SerializationError` if the result does not fit the return annotation, and `PayloadTooLarge` if it has
        more bytes than the app's workers store.
        """
        decode, signer = self.signature.decode_result, self._app.signer
        limit = self._app.max_payload + (OVERHEAD if signer else 0)
        subject = Subject("result", self.name, queue, job_id)

        def decode_bounded(data: bytes) -> Any:
            # Before it is parsed: a stored result may be another program's, and have hundreds of megabytes.
            if len(data) > limit:
                raise PayloadTooLarge("it", len(data), limit)
            return decode(signer.unseal(subject, data)[0] if signer else data)

        return decode_bounded


class TaskDecorator(Protocol):
    """The type of the decorator that `app.task(...)` returns.

    The context parameter may have any annotation, so that an app can use a context type of its own.
    """

    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...


class TaskWithOptions(Generic[P, R]):
    """A task with the options of its next jobs; returned by `Task.options`."""

    def __init__(self, task: Task[P, R], chosen: EnqueueOptions) -> None:
        self._task = task
        self._chosen = chosen

    async def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Store a job with these options; see `Task.enqueue`."""
        return await self._task.store(self._task.make_call(self._chosen, args, kwargs).job)

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return a call with these options, for `enqueue_many`; see `Task.call`."""
        return self._task.make_call(self._chosen, args, kwargs)


def checked_calls(calls: Iterable[Call[R]], example: str = "task.call") -> list[Call[R]]:
    """Return calls as a list.

    Raises:
        TypeError: An item is no call; the message says how to make one, with `example`.
    """
    found = list(calls)
    for call in cast("list[object]", found):
        if not isinstance(call, Call):
            raise TypeError(
                f"enqueue_many takes calls, got {type(call).__name__}; write {example}(...) for each, "
                f"as in enqueue_many([{example}(1), {example}(2)])"
            )
    return found


def _check_function(function: Callable[..., Any]) -> None:
    if isinstance(function, Task):
        raise TaskDefinitionError(f"{function.name} is already a task; decorate the function once")
    if not callable(function):
        raise TaskDefinitionError(f"a task is a function, got {function!r}")
    if is_generator(function):
        raise TaskDefinitionError(f"{name_of(function)} is a generator; a task returns one value")
    try:
        kinds = [parameter.kind for parameter in signature_of(function).parameters.values()]
    except ValueError as error:
        raise TaskDefinitionError(f"{name_of(function)} cannot be a task: {error}") from None
    if not kinds or kinds[0] not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
        raise TaskDefinitionError(
            f"{name_of(function)} must take the context as its first parameter: def task(ctx, ...)"
        )
    check_context_parameter(function, "JobContext", "app.task")
