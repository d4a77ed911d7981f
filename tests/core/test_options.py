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
def test_a_good_value_is_taken(field: str, value: Any) -> None:
    """Both ends of every range are allowed."""
    assert getattr(TaskOptions(**{field: value}), field) == value


@pytest.mark.parametrize(
    ("field", "kind", "value"), [(field, kind, value) for field, kind, values in BAD for value in values]
)
def test_a_bad_value_is_refused_by_name(field: str, kind: type[Exception], value: Any) -> None:
    """Beyond the range, or of another type: the error begins with the field."""
    with pytest.raises(kind, match=rf"^{field} "):
        TaskOptions(**{field: value})


def test_every_option_is_put_to_the_test() -> None:
    """The tables above leave no field out, and the keywords are the fields."""
    fields = set(TaskOptions.__dataclass_fields__)
    assert {field for field, _ in GOOD} == fields
    assert {field for field, _, _ in BAD} == fields - {"save_result"}
    assert set(TaskKeywords.__annotations__) == fields


def test_errors_say_the_range() -> None:
    """What is allowed stands beside what was given."""
    with pytest.raises(ValueError, match="^retries must be between 0 and 1000, got 1001$"):
        TaskOptions(retries=1001)
    with pytest.raises(ValueError, match=r"^retry_delay must be between 0 and 315576000, got -1\.5$"):
        TaskOptions(retry_delay=-1.5)
    with pytest.raises(ValueError, match="^backoff must be one of constant, exponential, got 'linear'$"):
        TaskOptions(backoff="linear")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point


# One enqueue


def test_defer_by_in_seconds_or_as_a_timedelta() -> None:
    """Both mean the same."""
    assert EnqueueOptions(defer_by=90).delay == 90
    assert EnqueueOptions(defer_by=timedelta(minutes=1.5)).delay == 90


def test_defer_until_is_a_moment() -> None:
    """The zone of the datetime is reckoned with."""
    noon = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert EnqueueOptions(defer_until=noon).run_at == datetime(2030, 1, 1, 10, tzinfo=UTC).timestamp()
    assert EnqueueOptions().run_at is None


def test_expires_is_a_span_of_time_or_a_moment() -> None:
    """Of the two it is one: seconds, a timedelta in seconds, or an aware datetime."""
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
def test_what_is_wrong_with_an_enqueue_is_named(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    """Each option is checked before anything is enqueued."""
    with pytest.raises(kind) as caught:
        EnqueueOptions(**options)
    assert str(caught.value).startswith(text)


def test_a_naive_moment_comes_with_advice() -> None:
    """Nobody can tell which moment a naive datetime means; the error says how to mend it."""
    with pytest.raises(ValueError, match=r"give it a tzinfo, for example datetime\.now\(UTC\)$"):
        EnqueueOptions(defer_until=datetime(2030, 1, 1))


def test_long_values_are_cut_in_errors() -> None:
    """An error does not repeat ten thousand characters."""
    with pytest.raises(ValueError, match=r"\.\.\.") as caught:
        EnqueueOptions(job_id="x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("delay", [-1, 315_576_001, NAN])
def test_a_retry_has_a_sensible_delay(delay: float) -> None:
    """`Retry(delay=...)` is checked where it is raised."""
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
def test_what_is_wrong_with_a_worker_is_named(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    """A worker is checked when it is made, not when it runs."""
    with pytest.raises(kind) as caught:
        Worker(Aarq(MemoryBroker()), **options)
    assert str(caught.value).startswith(text)


def test_queues_are_taken_once_each_in_order() -> None:
    """The order is the order of preference; repeats do no harm."""
    assert Worker(Aarq(MemoryBroker()), queues=["b", "a", "b"]).queues == ("b", "a")
