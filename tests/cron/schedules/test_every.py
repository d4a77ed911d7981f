"""Every: schedules with a fixed interval."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.cron.schedule import CanonicalSchedule, Schedule
from aioq_cron import CronScheduler, Every, InvalidCronExpression
from tests.times import local, naive, utc

INTERVALS = st.timedeltas(timedelta(seconds=1), timedelta(days=400))
MOMENTS = st.datetimes(naive("1900-01-01"), naive("2200-01-01"), timezones=st.just(UTC))


def test_every_is_a_schedule() -> None:
    """An Every implements the Schedule protocol of aioq."""
    assert isinstance(Every(timedelta(minutes=5)), Schedule)


def test_every_without_start_counts_from_1970() -> None:
    """Without a start all workers agree on the ticks, because the ticks count from 1970."""
    every = Every(timedelta(minutes=45))
    assert every.next_after(utc("1970-01-01 00:00")) == utc("1970-01-01 00:45")
    assert every.next_after(utc("2026-01-01 00:10")) == utc("2026-01-01 00:45")


def test_every_first_tick_is_the_start() -> None:
    """Nothing fires before the start; ticks follow at whole intervals from it."""
    every = Every(timedelta(hours=24), start=local("2026-03-28 09:00", "Europe/Berlin"))
    assert every.next_after(utc("2020-01-01")) == utc("2026-03-28 08:00")
    assert every.next_after(utc("2026-03-28 08:00")) == utc("2026-03-29 08:00")


@given(INTERVALS, MOMENTS, MOMENTS)
@settings(deadline=None)
def test_every_next_tick_is_exact_and_later(interval: timedelta, start: datetime, instant: datetime) -> None:
    """The next tick is the first one after the instant that is a whole number of intervals from the start."""
    tick = Every(interval, start=start).next_after(instant)
    assert tick is not None
    assert tick > instant
    assert (tick - start) % interval == timedelta(0)
    assert tick == start or tick - interval <= instant


def test_every_after_year_9999_returns_none() -> None:
    """There is no tick after the year 9999."""
    assert Every(timedelta(days=3_000)).next_after(utc("9999-01-01")) is None


@pytest.mark.parametrize(
    "interval", [timedelta(0), timedelta(seconds=-5), timedelta(microseconds=999_999), timedelta(days=3_654)]
)
def test_every_interval_out_of_bounds_is_refused(interval: timedelta) -> None:
    """An interval below one second or above ten years is a ValueError."""
    with pytest.raises(ValueError, match=r"^interval must be from 1 second to 10 years, got "):
        Every(interval)


@pytest.mark.parametrize("interval", [5, 1.5, None, "5m"])
def test_every_interval_must_be_a_timedelta(interval: object) -> None:
    """A number has no unit, so an interval that is not a timedelta is a TypeError."""
    with pytest.raises(TypeError, match=r"^interval is a timedelta such as timedelta\(minutes=5\), got "):
        Every(interval)  # type: ignore[arg-type]


def test_every_start_must_be_an_aware_datetime() -> None:
    """A naive start is a ValueError, and a start that is not a datetime is a TypeError."""
    with pytest.raises(ValueError, match=r"has no time zone"):
        Every(timedelta(hours=1), start=naive("2026-01-01"))
    with pytest.raises(TypeError, match=r"^expected an aware datetime"):
        Every(timedelta(hours=1), start=date(2026, 1, 1))  # type: ignore[arg-type]


def test_every_equality_and_hash() -> None:
    """Two values are equal if interval and start are equal, in any zone, and a pickled value stays equal."""
    berlin = Every(timedelta(hours=1), start=local("2026-01-01 01:00", "Europe/Berlin"))
    assert berlin == Every(timedelta(minutes=60), start=utc("2026-01-01"))
    assert hash(berlin) == hash(Every(timedelta(minutes=60), start=utc("2026-01-01")))
    assert berlin != Every(timedelta(hours=1))
    assert pickle.loads(pickle.dumps(berlin)) == berlin


@pytest.mark.parametrize(
    ("every", "text"),
    [
        (Every(timedelta(seconds=90)), "every 1m30s"),
        (Every(timedelta(days=1, hours=2)), "every 1d2h"),
        (Every(timedelta(seconds=1.5)), "every 1.5s"),
        (Every(timedelta(seconds=100)), "every 1m40s"),
        (Every(timedelta(minutes=1, microseconds=10)), "every 1m0.00001s"),
        (Every(timedelta(minutes=5), start=utc("2026-01-01")), "every 5m from 2026-01-01T00:00:00+00:00"),
    ],
)
def test_every_str_shows_interval_and_start(every: Every, text: str) -> None:
    """The text shows interval and start, so that different schedules have different texts."""
    assert str(every) == text


def test_every_repr_evaluates_to_an_equal_value() -> None:
    """The repr shows interval and start, and evaluates to an equal value."""
    every = Every(timedelta(minutes=5), start=utc("2026-01-01"))
    assert eval(repr(every).replace("datetime.", "").replace("timezone.utc", "UTC")) == every


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("@every 5m", timedelta(minutes=5)),
        (" @Every  1H30m ", timedelta(minutes=90)),
        ("@every 1.5h", timedelta(minutes=90)),
        ("@every 2d1h1m1s500ms", timedelta(days=2, hours=1, minutes=1, seconds=1.5)),
    ],
)
def test_scheduler_parses_every_as_interval(text: str, interval: timedelta) -> None:
    """`@every` with a duration is an Every, whose canonical text does not depend on the units."""
    every = CronScheduler().parse(text, tz="Europe/Berlin")
    assert every == Every(interval)
    assert isinstance(every, CanonicalSchedule)
    assert every.canonical == str(Every(interval))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@every", "'@every' has no interval; write numbers with d, h, m or s, as in @every 1h30m"),
        ("@every 5", "'@every 5' has no interval; write numbers with d, h, m or s, as in @every 1h30m"),
        ("@every 5m x", "'@every 5m x' has no interval; write numbers with d, h, m or s, as in @every 1h30m"),
        ("@every 100ms", "'@every 100ms': an interval is from 1 second to 10 years"),
        ("@every 999999999d", "'@every 999999999d': an interval is from 1 second to 10 years"),
    ],
)
def test_scheduler_refuses_wrong_interval(text: str, message: str) -> None:
    """A text without a duration, and a duration out of bounds, raise the error of expressions."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronScheduler().parse(text)
    assert str(refused.value) == message
    with pytest.raises(InvalidCronExpression, match="not a known time zone"):
        CronScheduler().parse("@every 5m", tz="Nowhere/Land")
