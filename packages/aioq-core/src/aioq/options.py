"""Options of a task and of one enqueue of it, checked when they are set."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypedDict, cast, get_args

from aioq.errors import InvalidJobId
from aioq.model.headers import check_headers
from aioq.model.ids import TICK_IDS, check_name
from aioq.retry import Backoff

__all__ = ["EnqueueOptions", "TaskKeywords", "TaskOptions", "check_job_id", "latest_start"]

TEN_YEARS = 315_576_000.0
"""The limit of all delays and durations, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How workers run the jobs of one task. Durations are in seconds.

    Raises:
        TypeError, ValueError: A field has the wrong type or is out of range; the message names it.
    """

    queue: str = "default"
    retries: int = 0
    """Attempts after the first one failed; 0 to 1000."""
    retry_delay: float = 1.0
    """Seconds before the first retry; 0 to 10 years."""
    backoff: Backoff = "exponential"
    """`exponential` doubles the delay with every retry, up to one day; `constant` keeps it."""
    jitter: float = 0.1
    """Shortens each delay at random by up to this fraction; 0 to 1."""
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    """Only these exceptions are retried."""
    no_retry_on: tuple[type[BaseException], ...] = ()
    """These exceptions are not retried, even if `retry_on` contains a parent class."""
    timeout: float | None = None
    """Limit of one attempt, 0.001 s to 10 years; None for no limit."""
    priority: int = 5
    """0 (last) to 9 (first)."""
    save_result: bool = True
    """False stores neither the result nor the record of a job that succeeded."""
    result_ttl: float = 3600.0
    """Seconds that results and failures are stored; 0 stores neither. At most 10 years."""
    max_crashes: int = 3
    """Crashes of a worker while running the job, after which the job is dead; 1 to 100."""

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
    """Options of one job. The fields that are not set by the caller are computed once.

    Raises:
        TypeError, ValueError: A field has the wrong type or is out of range; the message names it.
    """

    defer_by: float | timedelta = 0.0
    """Seconds (or a timedelta) until the job is due, on the broker's clock; at most 10 years."""
    defer_until: datetime | None = None
    """The moment at which the job is due, an aware datetime. A moment in the past is due at once."""
    priority: int | None = None
    job_id: str | None = None
    """An id chosen by the caller: enqueueing it twice stores one job."""
    expires: float | timedelta | datetime | None = None
    """Seconds (or a timedelta) from the due time of the job to its latest start, or the latest start
    as an aware moment. A job that was not started in time is `expired`. At most 10 years."""
    headers: Mapping[str, str] | None = None
    """Text that each run finds in `ctx["headers"]`: at most 32 names and values, of 8,192 bytes together in UTF-8."""
    delay: float = field(init=False, repr=False, compare=False)
    """`defer_by` in seconds."""
    run_at: float | None = field(init=False, repr=False, compare=False, default=None)
    """`defer_until` in seconds since 1970."""
    expires_after: float | None = field(init=False, repr=False, compare=False, default=None)
    """`expires` in seconds, if it is a duration."""
    expires_at: float | None = field(init=False, repr=False, compare=False, default=None)
    """`expires` in seconds since 1970, if it is a moment."""
    sent_headers: Mapping[str, str] | None = field(init=False, repr=False, compare=False, default=None)
    """A copy of `headers`."""

    def __post_init__(self) -> None:
        # Computed once: one object serves all jobs that are enqueued with these options.
        set_field = partial(object.__setattr__, self)
        set_field("delay", _seconds(self.defer_by))
        number("defer_by", self.delay, 0, TEN_YEARS)
        if self.defer_until is not None:
            _check_moment("defer_until", self.defer_until)
            if self.delay:
                raise ValueError("defer_by and defer_until cannot be combined; set one of them")
            set_field("run_at", self.defer_until.timestamp())
        if self.priority is not None:
            whole("priority", self.priority, 0, 9)
        if self.job_id is not None:
            _check_own_job_id(self.job_id)
        if isinstance(self.expires, datetime):
            self._check_expires(self.expires)
            set_field("expires_at", self.expires.timestamp())
        elif self.expires is not None:
            set_field("expires_after", _seconds(self.expires))
            number("expires", self.expires_after, 0, TEN_YEARS)
        if self.headers is not None:
            set_field("sent_headers", check_headers(self.headers))

    def _check_expires(self, moment: datetime) -> None:
        _check_moment("expires", moment)
        if self.defer_until is not None and moment < self.defer_until:
            raise ValueError(
                f"expires is before defer_until, {moment.isoformat()} before {self.defer_until.isoformat()}: "
                f"the job would never run"
            )


def flag(field: str, value: object) -> None:
    """Check that a field is True or False.

    Raises:
        TypeError: It is neither; the message names the field.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{field} must be True or False, got {value!r}")


def whole(field: str, value: object, low: int, high: int) -> None:
    """Check that a field is an integer in a range.

    Raises:
        TypeError, ValueError: It is not; the message names the field.
    """
    # In Python a bool is an int, and `retries=True` is a mistake.
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{field} must be a whole number, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{field} must be between {low} and {high}, got {value}")


def number(field: str, value: object, low: float, high: float) -> None:
    """Check that a field is a number in a range.

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


def check_job_id(job_id: object) -> str:
    """Return the id of a job.

    Raises:
        TypeError: It is not text.
        InvalidJobId: It is empty, too long, or contains a character that is not allowed.
    """
    try:
        return check_name("job_id", job_id)
    except ValueError as error:
        raise InvalidJobId(str(error)) from None


def _check_own_job_id(job_id: object) -> None:
    if check_job_id(job_id).startswith(TICK_IDS):
        raise ValueError(
            f"job_id {job_id!r} begins with {TICK_IDS}, which is reserved for jobs of app.schedule; choose another"
        )


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
    """Compute the latest start of a job from its enqueue options; None if it does not expire.

    It is `expires_at`, or else `expires` seconds after the job came due. A job is due at `run_at`, but
    not before it was enqueued, or else `delay` seconds after it was enqueued.

    Args:
        enqueued_at: When the job was stored. Moments are seconds since 1970 on the broker's clock.
        expires: Seconds after the job came due.
        delay: Seconds from `enqueued_at` until the job is due.
        run_at: The moment at which the job is due.
        expires_at: The moment by which the job must be started.
    """
    if expires_at is not None:
        return expires_at
    if expires is None:
        return None
    # A job whose time has passed already is due when it is enqueued.
    return expires + (enqueued_at + delay if run_at is None else max(enqueued_at, run_at))
