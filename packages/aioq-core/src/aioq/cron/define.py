"""Checks the arguments of `app.cron` and `app.schedule`, and builds cron entries of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from inspect import Signature
from types import FunctionType
from typing import Any

import msgspec

from aioq.callables import (
    calling_line,
    check_context_parameter,
    is_generator,
    name_of,
    own_name,
    where,
)
from aioq.cron import CronEntry, CronOptions
from aioq.cron.options import CronKeywords, ScheduleKeywords
from aioq.cron.schedule import stable_text
from aioq.cron.timing import Timing
from aioq.errors import AioqError, TaskDefinitionError
from aioq.model.ids import TICK_IDS, check_name, tick_id
from aioq.options import EnqueueOptions, flag
from aioq.registry import Registry
from aioq.serialization.annotations import signature_of
from aioq.task import Task

__all__ = [
    "CronDraft",
    "ScheduleDraft",
    "check_options",
    "cron_options",
    "error_context",
    "schedule_options",
    "text_of",
]

MAX_SCHEDULE_NAME = 180
"""Characters. The id of a job is `cron:<name>:<milliseconds>`, and a job id has at most 200 characters."""

_NO_OPTIONS = CronOptions()
"""Shared by the entries without any: thousands of them take less time and memory."""


@contextmanager
def error_context(entry: Callable[[], str]) -> Generator[None, None, None]:
    """Prefix the text of errors with that of the entry. Their type stays the same, so that callers can handle them."""
    try:
        yield
    except (AioqError, TypeError, ValueError) as error:
        # In place: an exception class may have a constructor with other parameters.
        error.args = (f"{entry()}: {error}", *error.args[1:])
        raise


def text_of(value: object) -> str:
    """Return a task or a schedule as text for messages."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Task):
        return value.name
    return name_of(value) if callable(value) else stable_text(value)


def cron_options(options: CronKeywords) -> CronOptions:
    """Return the options of `app.cron`.

    Raises:
        TypeError, ValueError: One is unknown or out of range; the message names it.
    """
    if not options:
        return _NO_OPTIONS
    check_options(options, CronKeywords.__optional_keys__, "help(Aarq.cron) lists the options")
    return CronOptions(**options)


def schedule_options(options: ScheduleKeywords) -> CronOptions:
    """Return the options of `app.schedule`.

    Raises:
        TypeError, ValueError: One is unknown or out of range; the message names it.
    """
    if not options:
        return _NO_OPTIONS
    on_the_task = "set it on the task: @app.task(...)"
    check_options(options, ScheduleKeywords.__optional_keys__, on_the_task)
    return CronOptions(**options)


@dataclass(frozen=True, slots=True, kw_only=True)
class CronDraft:
    """The arguments of `app.cron`, until the decorator gets the function."""

    timing: Timing
    name: str | None
    queue: str
    unique: bool
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    on_error: Callable[..., Any] | None

    def __post_init__(self) -> None:
        check_name("queue", self.queue)
        if self.name is not None:
            check_name("name", self.name)
        flag("unique", self.unique)
        _check_arguments(self.args, self.kwargs)
        if self.on_error is not None:
            _check_on_error(self.on_error)

    def entry(self, function: Callable[..., Any], crons: Registry[CronEntry]) -> CronEntry:
        """Return the entry of a function. Without a given name, it gets one that is free among `crons`."""
        _check_function(function, self.args, self.kwargs)
        name = self.name or _free_name(own_name(function, 'app.cron("...", name="...")'), function, crons)
        with error_context(lambda: f"@app.cron({text_of(self.timing.schedule)}) on {name_of(function)}"):
            timed = self.timing.of_entry(name)
        timed.warn(name)
        return CronEntry(
            name=name,
            function=function,
            schedule=timed.schedule,
            queue=self.queue,
            unique=self.unique,
            args=self.args,
            kwargs=dict(self.kwargs),
            on_error=self.on_error,
            options=self.timing.options,
            expression=timed.expression,
            canonical=timed.canonical,
            tz=self.timing.tz,
            where=where(function),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDraft:
    """The arguments of `app.schedule`."""

    timing: Timing
    name: str | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    expires: float | timedelta | None = None

    def __post_init__(self) -> None:
        if isinstance(self.expires, datetime):
            raise TypeError("expires of a schedule is a duration that each job has from its tick on, got a datetime")

    def entry(self, task: Task[..., Any], tasks: Registry[Task[..., Any]], crons: Registry[CronEntry]) -> CronEntry:
        """Return the entry that enqueues a job of one of an app's `tasks` at each tick."""
        _check_task(task, tasks)
        _check_arguments(self.args, self.kwargs)
        name = _free_name(task.name, task.function, crons) if self.name is None else self.name
        _check_schedule_name(name)
        template = tick_id(name, 0)
        job = task.make_call(EnqueueOptions(expires=self.expires), self.args, self.kwargs, schedule_id=template).job
        timed = self.timing.of_entry(name)
        timed.warn(name)
        return CronEntry(
            name=name,
            function=task.function,
            schedule=timed.schedule,
            queue=job.queue,
            unique=True,
            job=msgspec.structs.replace(job, id=f"{TICK_IDS}{name}"),
            sign=task.signed if task.signs else None,
            options=self.timing.options,
            expression=timed.expression,
            canonical=timed.canonical,
            tz=self.timing.tz,
            where=calling_line(),
        )


def check_options(options: Mapping[str, object], known: Iterable[str], otherwise: str) -> None:
    """Raise TypeError for an option that is not `known`; the message suggests one, or else what to do `otherwise`."""
    for option in sorted(options.keys() - set(known)):
        # Two, because the shortest options begin alike: `rety` may be `retries` or `retry_on`.
        close = " or ".join(get_close_matches(option, sorted(known), n=2, cutoff=0.54))
        raise TypeError(f"there is no option {option}; {f'did you mean {close}?' if close else otherwise}")


def _free_name(first: str, function: Callable[..., Any], crons: Registry[CronEntry]) -> str:
    """Return a name with a number if the function has other entries. A name of another function stays a conflict."""
    name, number = first, 1
    while (taken := crons.get(name)) is not None and taken.function is function:
        number += 1
        name = f"{first}:{number}"
    return name


def _check_task(task: object, tasks: Registry[Task[..., Any]]) -> None:
    if not isinstance(task, Task):
        raise TaskDefinitionError("this is not a task; make it one with @app.task, or call it with @app.cron")
    if tasks.get(task.name) is not task:
        raise TaskDefinitionError("the task belongs to another app; schedule it with that app")


def _check_schedule_name(name: str) -> None:
    check_name("name", name)
    if len(name) > MAX_SCHEDULE_NAME:
        raise ValueError(
            f"name of a schedule must have at most {MAX_SCHEDULE_NAME} characters, got {len(name)}: {name}"
        )


def _check_arguments(args: object, kwargs: object) -> None:
    if not isinstance(args, tuple):
        raise TypeError(f'args must be a tuple such as ("a@b.c",), got {args!r}')
    if not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs must be a mapping of names to values, got {kwargs!r}")


def _check_on_error(function: object) -> None:
    if not callable(function):
        raise TypeError(f"on_error must be a function of the context and the exception, got {function!r}")
    if is_generator(function):
        raise TypeError(
            f"on_error must not be a generator, and {name_of(function)} is one: calling it would not run it"
        )
    if problem := _mismatch(signature_of(function), ({}, Exception()), {}):
        raise TypeError(
            f"on_error must take the context and the exception, and {name_of(function)} does not: {problem}"
        )


def _check_function(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    signature = _signature(function) if isinstance(function, FunctionType) else _inspected(function)
    if problem := _mismatch(signature, ({}, *args), kwargs):
        with_what = "the context, args and kwargs" if args or kwargs else "the context alone"
        raise TaskDefinitionError(f"{name_of(function)} must be callable with {with_what}: {problem}")


@lru_cache(maxsize=16)
def _signature(function: FunctionType) -> Signature:
    """Return what `_inspected` returns. Cached, because thousands of entries may share one function."""
    return _inspected(function)


def _inspected(function: Callable[..., Any]) -> Signature:
    """Return the signature of a function that a cron entry can call, with the right arguments.

    Raises:
        TaskDefinitionError: It is no such function.
    """
    # A task is callable, too, and would pass the checks that follow.
    if isinstance(function, Task):
        raise TaskDefinitionError(
            f"{function.name} is a task, and app.cron calls plain functions; use app.schedule for it"
        )
    if not callable(function):
        raise TaskDefinitionError(f"a cron entry is a function, got {function!r}")
    if is_generator(function):
        raise TaskDefinitionError(f"{name_of(function)} is a generator: calling it would not run it")
    # Now, and not at the first tick, which may be at night. An empty dict stands for the context.
    try:
        return check_context_parameter(function, "CronContext", "app.cron(...)")
    except ValueError as error:  # a builtin without a signature
        raise TaskDefinitionError(f"{name_of(function)} cannot be a cron entry: {error}") from None


def _mismatch(signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return why a function cannot be called with these arguments; empty if it can."""
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return ""
