"""The policies of an entry are checked, and errors name the field."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aioq import Aarq
from aioq.cron import CronOptions
from aioq.cron.options import CronKeywords, ScheduleKeywords
from tests.core.plain_scheduler import EverySeconds

TEN_YEARS = 315_576_000
NAN = float("nan")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NAIVE = datetime(2026, 1, 1)

GOOD: list[tuple[str, list[Any]]] = [
    ("misfire", ["once", "skip", "all"]),
    ("grace", [1, 2.5, TEN_YEARS]),
    ("catchup", [None, 0, 0.5, TEN_YEARS]),
    ("overlap", ["allow", "skip", "queue_one", "cancel"]),
    ("jitter", [0, 0.1, 86_400]),
    ("timeout", [None, 0.001, TEN_YEARS]),
    ("run_on_start", [True, False]),
    ("enabled", [True, False]),
    ("start", [None, NEW_YEAR]),
    ("end", [None, NEW_YEAR.astimezone(timezone(timedelta(hours=5)))]),
]

BAD: list[tuple[str, type[Exception], list[Any]]] = [
    ("misfire", ValueError, ["twice", "", None, 1, ["once"]]),
    ("grace", ValueError, [0, 0.999, -1, TEN_YEARS + 1, NAN]),
    ("grace", TypeError, ["60", None, True, timedelta(seconds=60)]),
    ("catchup", ValueError, [-1, TEN_YEARS + 1, NAN]),
    ("catchup", TypeError, ["60", False]),
    ("overlap", ValueError, ["queue", "", None, True]),
    ("jitter", ValueError, [-0.1, 86_401, NAN]),
    ("jitter", TypeError, ["1", None]),
    ("timeout", ValueError, [0, -5, TEN_YEARS + 1, NAN]),
    ("timeout", TypeError, ["30", True]),
    ("run_on_start", TypeError, ["yes", 1, None]),
    ("enabled", TypeError, ["no", 0, None]),
    ("start", ValueError, [NAIVE]),
    ("start", TypeError, ["2026-01-01", 5, NEW_YEAR.date()]),
    ("end", ValueError, [NAIVE]),
    ("end", TypeError, ["2026-01-01", 5]),
]


async def report(_: object) -> None:
    """Report."""


def each(table: list[Any]) -> list[tuple[Any, ...]]:
    """Return a row for each of the values of a row."""
    return [(*row[:-1], value) for row in table for value in row[-1]]


@pytest.mark.parametrize(("field", "value"), each(GOOD))
def test_cron_options_accept_valid_value(app: Aarq, field: str, value: Any) -> None:
    """It is in the entry as it was given."""
    options: Any = {field: value}
    app.cron("every 5", name="entry", **options)(report)
    assert getattr(app.crons["entry"].options, field) == value


@pytest.mark.parametrize(("field", "kind", "value"), each(BAD))
def test_cron_options_reject_invalid_value_by_name(app: Aarq, field: str, kind: type[Exception], value: Any) -> None:
    """Before the function is known: the error begins with the schedule, and then the field."""
    options: Any = {field: value}
    with pytest.raises(kind, match=rf'^@app.cron\("every 5"\): {field} must be '):
        app.cron("every 5", **options)


def test_cron_options_are_all_tested() -> None:
    """The tables above leave no field out, and the keywords are the fields."""
    fields = set(CronOptions.__dataclass_fields__)
    assert {field for field, _ in GOOD} == {field for field, _, _ in BAD} == fields
    assert CronKeywords.__optional_keys__ == fields
    assert ScheduleKeywords.__optional_keys__ == fields - {"timeout"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"misfire": "twice"}, "misfire must be one of once, skip, all, got 'twice'"),
        ({"overlap": "wait"}, "overlap must be one of allow, skip, queue_one, cancel, got 'wait'"),
        ({"grace": 0}, "grace must be between 1 and 315576000, got 0"),
        ({"enabled": "no"}, "enabled must be True or False, got 'no'"),
        ({"unique": "yes"}, "unique must be True or False, got 'yes'"),
        ({"args": "a@b.c"}, "args must be a tuple such as (\"a@b.c\",), got 'a@b.c'"),
        ({"args": ["a@b.c"]}, "args must be a tuple such as (\"a@b.c\",), got ['a@b.c']"),
        ({"kwargs": ["to"]}, "kwargs must be a mapping of names to values, got ['to']"),
        ({"end": "soon"}, "end must be a datetime, got str"),
        (
            {"start": NAIVE},
            f"start must be aware, got {NAIVE!r}; give it a tzinfo, as in datetime(2026, 1, 1, tzinfo=UTC)",
        ),
        (
            {"start": NEW_YEAR, "end": NEW_YEAR - timedelta(days=1)},
            "start must not be after end, got 2026-01-01T00:00:00+00:00 and 2025-12-31T00:00:00+00:00",
        ),
        ({"on_error": "mail me"}, "on_error must be a function of the context and the exception, got 'mail me'"),
    ],
)
def test_cron_options_error_has_expected_values(app: Aarq, options: Any, text: str) -> None:
    """And what was given."""
    with pytest.raises((TypeError, ValueError)) as caught:
        app.cron("every 5", **options)
    assert str(caught.value) == f'@app.cron("every 5"): {text}'


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("misfre", "did you mean misfire?"),
        ("retries", "help(Aarq.cron) lists the options"),
    ],
)
def test_cron_rejects_unknown_option(app: Aarq, option: str, hint: str) -> None:
    """The error names it, and one that is spelled alike."""
    options: Any = {option: 1}
    with pytest.raises(TypeError) as caught:
        app.cron("every 5", **options)
    assert str(caught.value) == f'@app.cron("every 5"): there is no option {option}; {hint}'


def test_cron_rejects_decorator_without_schedule(app: Aarq) -> None:
    """Else the function would be swallowed, and never be called."""
    with pytest.raises(TypeError) as caught:
        app.cron(report)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the point
    assert str(caught.value) == (
        f'@app.cron({report.__module__}.report): this is a function, not a schedule; pass the schedule first, as in "0 9 * * *"'
    )


@pytest.mark.parametrize("value", [5, None, ["0 9 * * *"]])
def test_cron_rejects_what_is_no_schedule(app: Aarq, value: Any) -> None:
    """The error says what a schedule is."""
    with pytest.raises(
        TypeError, match=r'^@app\.cron\(.*\): a schedule is a str such as "0 9 \* \* \*", or an object '
    ):
        app.cron(value)


def test_cron_rejects_on_error_with_wrong_parameters(app: Aarq) -> None:
    """Else it would fail when it is needed."""

    def alarm(_: object) -> None: ...

    with pytest.raises(TypeError, match=r"on_error must take the context and the exception, and .*alarm does not: \S"):
        app.cron("every 5", on_error=alarm)


def test_cron_rejects_generator_as_on_error(app: Aarq) -> None:
    """A generator would not."""

    def alarm(_: object, error: BaseException) -> Iterator[int]:
        yield 1

    with pytest.raises(
        TypeError, match=r"on_error must not be a generator, and .*alarm is one: calling it would not run"
    ):
        app.cron("every 5", on_error=alarm)


def test_cron_has_ticks_within_bounds(app: Aarq) -> None:
    """There are no other ticks; a tick at a bound is one."""
    app.cron("every 5", name="entry", start=NEW_YEAR, end=NEW_YEAR + timedelta(seconds=10))(report)
    entry = app.crons["entry"]
    assert entry.schedule.next_after(NEW_YEAR - timedelta(days=1)) == NEW_YEAR
    assert entry.schedule.next_after(NEW_YEAR + timedelta(seconds=5)) == NEW_YEAR + timedelta(seconds=10)
    assert entry.schedule.next_after(NEW_YEAR + timedelta(seconds=10)) is None


def test_fingerprint_has_bounds(app: Aarq) -> None:
    """An entry with others starts without a past."""
    table: dict[str, Any] = {"a": {}, "b": {"start": NEW_YEAR}, "c": {"end": NEW_YEAR}}
    for name, bounds in table.items():
        app.cron("every 5", name=name, **bounds)(report)
    assert [app.crons[name].fingerprint for name in "abc"] == [
        "every 5 [UTC]",
        "every 5 [UTC] 2026-01-01T00:00:00+00:00 to ",
        "every 5 [UTC]  to 2026-01-01T00:00:00+00:00",
    ]


def test_cron_without_bounds_keeps_schedule_object(app: Aarq) -> None:
    """Nothing is wrapped for no reason."""
    app.cron("every 5", name="entry")(report)
    assert app.crons["entry"].schedule == EverySeconds(5)
