"""Options: every one is checked when it is given, and named when it is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aioq import Retry, TaskOptions, Worker
from aioq.app import Aarq
from aioq.backends import MemoryBroker
from aioq.options import EnqueueOptions, TaskKeywords

TEN_YEARS = 315_576_000
NAN, INFINITY = float("nan"), float("inf")

GOOD: list[tuple[str, list[Any]]] = [
    ("queue", ["a", "a-b_c.D1", "x" * 64]),
    ("retries", [0, 1000]),
    ("retry_delay", [0, 0.5, TEN_YEARS]),
    ("backoff", ["constant", "exponential"]),
    ("jitter", [0, 0.5, 1]),
    ("retry_on", [(), (ValueError,), (ValueError, KeyboardInterrupt)]),
    ("no_retry_on", [(), (KeyError,)]),
    ("timeout", [None, 0.001, 5, TEN_YEARS]),
    ("priority", [0, 9]),
    ("save_result", [True, False]),
    ("result_ttl", [0, TEN_YEARS]),
    ("max_crashes", [1, 100]),
]

BAD: list[tuple[str, type[Exception], list[Any]]] = [
    ("queue", ValueError, ["", "a:b", "../x", "{}", "x" * 65, "a b", "a\n", "ä"]),
    ("queue", TypeError, [None, 5, b"a"]),
    ("retries", ValueError, [-1, 1001]),
    ("retries", TypeError, [1.0, "1", None, True]),
    ("retry_delay", ValueError, [-0.1, TEN_YEARS + 1, NAN, INFINITY, 10**400]),
    ("retry_delay", TypeError, ["1", None, False]),
    ("backoff", ValueError, ["linear", "", None]),
    ("jitter", ValueError, [-0.1, 1.1, NAN]),
    ("jitter", TypeError, ["0.1", None]),
    ("retry_on", TypeError, [ValueError, [ValueError], (5,), ("ValueError",), None]),
    ("no_retry_on", TypeError, [ValueError, [ValueError], (int,), None]),
    ("timeout", ValueError, [0, -1, TEN_YEARS + 1, NAN]),
    ("timeout", TypeError, ["5", True]),
    ("priority", ValueError, [-1, 10]),
    ("priority", TypeError, [1.5, None, True]),
    ("result_ttl", ValueError, [-1, TEN_YEARS + 1, NAN]),
    ("result_ttl", TypeError, [None, "60"]),
    ("max_crashes", ValueError, [0, 101]),
    ("max_crashes", TypeError, [None, 2.0]),
]


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in GOOD for value in values])
def test_task_options_accept_limits(field: str, value: Any) -> None:
    """Both ends of every range are allowed."""
    assert getattr(TaskOptions(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("field", "kind", "value"), [(field, kind, value) for field, kind, values in BAD for value in values]
)
def test_task_options_out_of_range_names_field(field: str, kind: type[Exception], value: Any) -> None:
    """A value out of range or of a wrong type raises an error that begins with the field."""
    with pytest.raises(kind, match=rf"^{field} "):
        TaskOptions(**{field: value})


def test_task_options_all_fields_are_tested() -> None:
    """The tables above contain every field, and `TaskKeywords` has the same fields."""
    fields = set(TaskOptions.__dataclass_fields__)
    assert {field for field, _ in GOOD} == fields
    assert {field for field, _, _ in BAD} == fields - {"save_result"}
    assert set(TaskKeywords.__annotations__) == fields


def test_task_options_error_shows_range() -> None:
    """The error shows the allowed range beside the given value."""
    with pytest.raises(ValueError, match="^retries must be between 0 and 1000, got 1001$"):
        TaskOptions(retries=1001)
    with pytest.raises(ValueError, match=r"^retry_delay must be between 0 and 315576000, got -1\.5$"):
        TaskOptions(retry_delay=-1.5)
    with pytest.raises(ValueError, match="^backoff must be one of constant, exponential, got 'linear'$"):
        TaskOptions(backoff="linear")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point


# One enqueue


def test_enqueue_options_defer_by_number_or_timedelta() -> None:
    """Seconds and a timedelta mean the same delay."""
    assert EnqueueOptions(defer_by=90).delay == 90
    assert EnqueueOptions(defer_by=timedelta(minutes=1.5)).delay == 90


def test_enqueue_options_defer_until_respects_zone() -> None:
    """The zone of `defer_until` is taken into account."""
    noon = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert EnqueueOptions(defer_until=noon).run_at == datetime(2030, 1, 1, 10, tzinfo=UTC).timestamp()
    assert EnqueueOptions().run_at is None


def test_enqueue_options_expires_duration_or_moment() -> None:
    """`expires` is a number of seconds, a timedelta, or an aware datetime."""
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    chosen = [EnqueueOptions(expires=expires) for expires in (90, timedelta(minutes=1.5), noon, None)]
    assert [(one.expires_after, one.expires_at) for one in chosen] == [
        (90, None), (90, None), (None, noon.timestamp()), (None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"defer_by": -1}, ValueError, "defer_by must be between 0 and"),
        ({"defer_by": TEN_YEARS + 1}, ValueError, "defer_by must be between 0 and"),
        ({"defer_by": 1e12}, ValueError, "defer_by must be between 0 and"),
        ({"defer_by": NAN}, ValueError, "defer_by must be between 0 and"),
        ({"defer_by": timedelta(seconds=-1)}, ValueError, "defer_by must be between 0 and"),
        ({"defer_by": "60"}, TypeError, "defer_by must be a number, got '60'"),
        ({"defer_by": None}, TypeError, "defer_by must be a number, got None"),
        ({"defer_until": 5}, TypeError, "defer_until must be a datetime, got int"),
        ({"defer_until": datetime(2030, 1, 1)}, ValueError, "defer_until must be aware, got"),
        ({"defer_until": datetime(2201, 1, 1, tzinfo=UTC)}, ValueError, "defer_until is more than 10 years away: 2201"),
        ({"defer_until": datetime(2030, 1, 1, tzinfo=UTC), "defer_by": 1}, ValueError, "defer_by and defer_until"),
        ({"priority": 10}, ValueError, "priority must be between 0 and 9, got 10"),
        ({"priority": "9"}, TypeError, "priority must be a whole number, got '9'"),
        ({"expires": -1}, ValueError, "expires must be between 0 and"),
        ({"expires": timedelta(days=3660)}, ValueError, "expires must be between 0 and"),
        ({"expires": "60"}, TypeError, "expires must be a number, got '60'"),
        ({"expires": datetime(2030, 1, 1)}, ValueError, "expires must be aware, got"),
        ({"expires": datetime(2201, 1, 1, tzinfo=UTC)}, ValueError, "expires is more than 10 years away: 2201"),
        (
            {"expires": datetime(2029, 1, 1, tzinfo=UTC), "defer_until": datetime(2030, 1, 1, tzinfo=UTC)},
            ValueError,
            "expires is before defer_until, 2029-01-01T00:00:00",
        ),
        ({"job_id": ""}, ValueError, "job_id '' is not of the form"),
        ({"job_id": "a b"}, ValueError, "job_id 'a b' is not of the form"),
        ({"job_id": "x" * 201}, ValueError, "job_id 'xxx"),
        (
            {"job_id": "cron:x:1"},
            ValueError,
            "job_id 'cron:x:1' begins with cron:, which is reserved for jobs of app.schedule; choose",
        ),
        ({"job_id": 5}, TypeError, "job_id must be text, got int"),
    ],
)
def test_enqueue_options_invalid_names_field(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    """Each option is checked before anything is enqueued."""
    with pytest.raises(kind) as caught:
        EnqueueOptions(**options)
    assert str(caught.value).startswith(text)


def test_enqueue_options_naive_datetime_gives_advice() -> None:
    """The error about a naive datetime says how to make it aware."""
    with pytest.raises(ValueError, match=r"give it a tzinfo, for example datetime\.now\(UTC\)$"):
        EnqueueOptions(defer_until=datetime(2030, 1, 1))


def test_options_error_cuts_long_values() -> None:
    """An error does not repeat ten thousand characters."""
    with pytest.raises(ValueError, match=r"\.\.\.") as caught:
        EnqueueOptions(job_id="x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("delay", [-1, 315_576_001, NAN])
def test_retry_delay_out_of_range_is_rejected(delay: float) -> None:
    """`Retry(delay=...)` checks its range."""
    with pytest.raises(ValueError, match=r"^delay must be between 0 s and 10 years, got "):
        Retry(delay=delay)


# The worker


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"concurrency": 0}, ValueError, "concurrency must be between 1 and 10000, got 0"),
        ({"concurrency": 10_001}, ValueError, "concurrency must be between 1 and 10000"),
        ({"concurrency": 1.0}, TypeError, "concurrency must be a whole number"),
        ({"lease": 0.5}, ValueError, "lease must be between 1 and 3600"),
        ({"lease": 3601}, ValueError, "lease must be between 1 and 3600"),
        ({"grace": -1}, ValueError, "grace must be between 0 and 86400"),
        ({"poll": 0}, ValueError, "poll must be between 0.01 and 3600"),
        ({"queues": "mail"}, TypeError, "queues must be several names, got the text 'mail'; write queues=['mail']"),
        ({"queues": []}, ValueError, "queues must name at least one queue"),
        ({"queues": ["a", "b c"]}, ValueError, "queue 'b c' is not of the form"),
        ({"id": ""}, ValueError, "worker id '' is not of the form"),
        ({"id": "a\nb"}, ValueError, "worker id 'a\\nb' is not of the form"),
        ({"id": 5}, TypeError, "worker id must be text, got int"),
    ],
)
def test_worker_options_invalid_names_argument(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    """The constructor of a worker checks its arguments."""
    with pytest.raises(kind) as caught:
        Worker(Aarq(MemoryBroker()), **options)
    assert str(caught.value).startswith(text)


def test_worker_queues_are_unique_in_order() -> None:
    """The order of queues is kept, and repeated names are dropped."""
    assert Worker(Aarq(MemoryBroker()), queues=["b", "a", "b"]).queues == ("b", "a")
