"""What can be said of a task, and of one enqueue of it: checked when it is said."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypedDict, cast, get_args

from aioq.model.ids import TICK_IDS, check_name
from aioq.retry import Backoff

__all__ = ["EnqueueOptions", "TaskKeywords", "TaskOptions", "latest_start"]

TEN_YEARS = 315_576_000.0
"""Seconds; nothing is put off for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How the jobs of one task are run. Durations are in seconds.

    Raises:
        TypeError, ValueError: A field is out of its range; the message names it.
    """

    queue: str = "default"
    retries: int = 0
    """Further attempts after the first one failed; 0 to 1000."""
    retry_delay: float = 1.0
    """Seconds before the first retry; 0 to 10 years."""
    backoff: Backoff = "exponential"
    """`exponential` doubles the delay with every retry, up to a day; `constant` does not."""
    jitter: float = 0.1
    """Up to this share of a delay is taken off at random; 0 to 1."""
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    """Only these exceptions are retried."""
    no_retry_on: tuple[type[BaseException], ...] = ()
    """These are not, even when `retry_on` names a parent of theirs."""
    timeout: float | None = None
    """Seconds that one attempt may take; None for no limit."""
    priority: int = 5
    """0 (last) to 9 (first)."""
    save_result: bool = True
    """False keeps nothing of a job that succeeded."""
    result_ttl: float = 3600.0
    """Seconds that results and failures are kept; 0 keeps neither. At most 10 years."""
    max_crashes: int = 3
    """So many times may a worker vanish while running the job; then it is dead. 1 to 100."""

    def __post_init__(self) -> None:
        check_name("queue", self.queue)
        whole("retries", self.retries, 0, 1000)
        number("retry_delay", self.retry_delay, 0, TEN_YEARS)
        if self.backoff not in get_args(Backoff):
            raise ValueError(f"backoff must be one of {', '.join(get_args(Backoff))}, got {self.backoff!r}")
        number("jitter", self.jitter, 0, 1)
        _exceptions("retry_on", self.retry_on)
        _exceptions("no_retry_on", self.no_retry_on)
        if self.timeout is not None:
            number("timeout", self.timeout, 0.001, TEN_YEARS)
        whole("priority", self.priority, 0, 9)
        number("result_ttl", self.result_ttl, 0, TEN_YEARS)
        whole("max_crashes", self.max_crashes, 1, 100)


class TaskKeywords(TypedDict, total=False):
    """The fields of `TaskOptions` as keyword arguments."""

    queue: str
    retries: int
    retry_delay: float
    backoff: Backoff
    jitter: float
    retry_on: tuple[type[BaseException], ...]
    no_retry_on: tuple[type[BaseException], ...]
    timeout: float | None
    priority: int
    save_result: bool
    result_ttl: float
    max_crashes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueOptions:
    """How one job differs from what its task says.

    Raises:
        TypeError, ValueError: A field is out of its range; the message names it.
    """

    defer_by: float | timedelta = 0.0
    """Seconds (or a timedelta) until the job is due, on the broker's clock; at most 10 years."""
    defer_until: datetime | None = None
    """The moment the job is due; must be aware. One in the past is due at once."""
    priority: int | None = None
    job_id: str | None = None
    """Chosen by the caller, so that enqueueing twice makes one job."""
    expires: float | timedelta | datetime | None = None
    """Seconds (or a timedelta) after the job came due in which it has to be started, or the aware
    moment by which it has to be; else it is `expired`, and not run. At most 10 years."""

    delay: float = field(init=False, repr=False, compare=False)
    """`defer_by` in seconds."""
    run_at: float | None = field(init=False, repr=False, compare=False)
    """`defer_until` in seconds since 1970."""
    expires_in: float | None = field(init=False, repr=False, compare=False, default=None)
    """`expires` in seconds, if it is a span of time."""
    expires_at: float | None = field(init=False, repr=False, compare=False, default=None)
    """`expires` in seconds since 1970, if it is a moment."""

    def __post_init__(self) -> None:
        # Worked out once: one object serves all jobs that are enqueued with these options.
        set_field = partial(object.__setattr__, self)
        set_field("delay", _seconds(self.defer_by))
        number("defer_by", self.delay, 0, TEN_YEARS)
        if self.defer_until is not None:
            _check_moment("defer_until", self.defer_until)
            if self.delay:
                raise ValueError("defer_by and defer_until exclude each other")
        set_field("run_at", None if self.defer_until is None else self.defer_until.timestamp())
        if self.priority is not None:
            whole("priority", self.priority, 0, 9)
        if self.job_id is not None:
            _check_job_id(self.job_id)
        if isinstance(self.expires, datetime):
            self._check_expires(self.expires)
            set_field("expires_at", self.expires.timestamp())
        elif self.expires is not None:
            set_field("expires_in", _seconds(self.expires))
            number("expires", self.expires_in, 0, TEN_YEARS)

    def _check_expires(self, moment: datetime) -> None:
        _check_moment("expires", moment)
        if self.defer_until is not None and moment < self.defer_until:
            raise ValueError(
                f"expires is before defer_until, {moment.isoformat()} before {self.defer_until.isoformat()}: "
                f"the job would never run"
            )


def flag(field: str, value: object) -> None:
    """Insist on True or False.

    Raises:
        TypeError: It is neither; the message names the field.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{field} must be True or False, got {value!r}")


def whole(field: str, value: object, low: int, high: int) -> None:
    """Insist on an integer of a range.

    Raises:
        TypeError, ValueError: It is not; the message names the field.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{field} must be a whole number, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{field} must be between {low} and {high}, got {value}")


def number(field: str, value: object, low: float, high: float) -> None:
    """Insist on a number of a range.

    Raises:
        TypeError, ValueError: It is not; the message names the field.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{field} must be a number, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{field} must be between {low:.15g} and {high:.15g}, got {value!r}")


def _seconds(span: float | timedelta) -> float:
    return span.total_seconds() if isinstance(span, timedelta) else span


def _check_moment(field: str, moment: object) -> None:
    if not isinstance(moment, datetime):
        raise TypeError(f"{field} must be a datetime, got {type(moment).__name__}")
    if moment.utcoffset() is None:
        raise ValueError(f"{field} must be aware, got {moment!r}; give it a tzinfo, for example datetime.now(UTC)")
    if moment.timestamp() > time.time() + TEN_YEARS:
        raise ValueError(f"{field} is more than 10 years away: {moment.isoformat()}")


def _check_job_id(job_id: object) -> None:
    if check_name("job_id", job_id).startswith(TICK_IDS):
        raise ValueError(f"job_id {job_id!r} begins with {TICK_IDS}, as only ids of app.schedule do; choose another")


def _exceptions(field: str, value: object) -> None:
    kinds = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (None,)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise TypeError(f"{field} must be a tuple of exception types, got {value!r}")


def latest_start(
    enqueued_at: float,
    *,
    expires: float | None,
    delay: float = 0.0,
    run_at: float | None = None,
    expires_at: float | None = None,
) -> float | None:
    """Return the moment after which a job is not started any more; None when there is none.

    That is `expires_at`, or else `expires` seconds after the job came due, by `delay` or `run_at`
    as a broker reckons them.
    """
    if expires_at is not None:
        return expires_at
    if expires is None:
        return None
    return expires + (enqueued_at + delay if run_at is None else max(enqueued_at, run_at))
