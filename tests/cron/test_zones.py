"""Time zones: names that do not exist, wrong types, and a host without zone data."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from aioq_cron import CronExpression, InvalidCronExpression
from aioq_cron.zones import WallClock, find_zone
from tests.times import utc


class OldStyleZone(tzinfo):
    """A zone of a library that is older than `fold`: only its conversion from UTC is right."""

    __hash__ = None  # type: ignore[assignment]  # as those of dateutil

    def __init__(self, key: str) -> None:
        self._real = ZoneInfo(key)

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Return the offset in the zone at its standard time, whatever the season."""
        return None if moment is None else moment.replace(tzinfo=self._real, month=1).utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        """Return nothing."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """Return a name."""
        return "OLD"

    def fromutc(self, moment: datetime) -> datetime:
        """Return the wall time as a datetime with a fixed offset, like the zones of pytz."""
        found = moment.replace(tzinfo=UTC).astimezone(self._real)
        return found.replace(tzinfo=timezone(found.utcoffset() or timedelta(), "OLD"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OldStyleZone) and self._real == other._real

    def __reduce__(self) -> tuple[type[OldStyleZone], tuple[str]]:
        return OldStyleZone, (self._real.key,)


@pytest.mark.parametrize(
    ("tz", "message"),
    [
        ("Europe/Berln", "tz 'Europe/Berln' is not a known time zone; did you mean 'Europe/Berlin'?"),
        ("europe/berlin", "tz 'europe/berlin' is not a known time zone; did you mean 'Europe/Berlin'?"),
        ("Berlin", "tz 'Berlin' is not a known time zone; did you mean 'Europe/Berlin'?"),
        ("new york", "tz 'new york' is not a known time zone; did you mean 'America/New_York'?"),
        ("CEST", "tz 'CEST' is not a known time zone"),
        ("UTC+2", "tz 'UTC+2' is not a known time zone"),
        ("Middle/Earth", "tz 'Middle/Earth' is not a known time zone"),
        ("Europe", "tz 'Europe' is not a known time zone"),
        ("", "tz '' is not a known time zone"),
        ("../passwd", "tz '../passwd' is not a known time zone"),
        ("\ud800\0", r"tz '\ud800\x00' is not a known time zone"),
        ("x" * 5_000, f"tz '{'x' * 60}' is not a known time zone"),
    ],
)
def test_unknown_zone_error_suggests_a_name(tz: str, message: str) -> None:
    """The error names the zone, and suggests the one that was probably meant."""
    with pytest.raises(InvalidCronExpression) as refused:
        CronExpression("* * * * *", tz)
    assert str(refused.value) == message
    assert refused.value.field == "tz"


@pytest.mark.parametrize("tz", ["localtime", "LocalTime", "posixrules", "Factory"])
def test_zone_of_host_is_refused(tz: str) -> None:
    """Workers on two hosts would read the expression in two ways."""
    with pytest.raises(InvalidCronExpression, match="is the zone of the host"):
        CronExpression("* * * * *", tz)


@pytest.mark.parametrize("tz", [2, b"UTC", ZoneInfo])
def test_zone_of_wrong_type_raises_type_error(tz: object) -> None:
    """What is neither a name nor a zone raises a TypeError."""
    with pytest.raises(TypeError, match=r'^tz is a name such as "Europe/Berlin", a tzinfo or None, got '):
        CronExpression("* * * * *", tz)  # type: ignore[arg-type]


def test_missing_zone_data_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the host has no zone data at all, the error says what to install."""
    monkeypatch.setattr("aioq_cron.zones.available_timezones", set)
    with pytest.raises(InvalidCronExpression, match=r"no time zone data here; run: pip install tzdata"):
        find_zone("Middle/Earth")


def test_utc_needs_no_zone_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without zone data can use UTC."""

    def no_zone(key: str) -> ZoneInfo:
        raise ZoneInfoNotFoundError(key)

    monkeypatch.setattr("aioq.cron.zones.ZoneInfo", no_zone)
    assert find_zone("UTC") is UTC
    assert CronExpression("0 9 * * *", "UTC") == CronExpression("0 9 * * *")


def test_utc_and_fixed_offsets_are_zones() -> None:
    """`datetime.UTC` is the zone UTC; of a fixed offset the offset counts, and not the name."""
    assert CronExpression("0 9 * * *", UTC) == CronExpression("0 9 * * *")
    plus_two = CronExpression("0 9 * * *", timezone(timedelta(hours=2)))
    assert plus_two.next_after(utc("2026-03-29")) == utc("2026-03-29 07:00")
    assert plus_two == CronExpression("0 9 * * *", timezone(timedelta(hours=2), "mine"))
    assert plus_two != CronExpression("0 9 * * *", timezone(timedelta(hours=3)))
    assert repr(plus_two) == "CronExpression('0 9 * * *', tz=datetime.timezone(datetime.timedelta(seconds=7200)))"


@pytest.mark.parametrize(
    "key", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Tokyo"]
)
@pytest.mark.parametrize("text", ["30 2 * * *", "*/20 * * * *", "0 0 * * *", "15 1,2,3 * * *"])
def test_zone_of_other_library_gives_the_same_ticks(key: str, text: str) -> None:
    """A zone that does not know `fold` is read like the same zone of zoneinfo, also around its clock changes."""
    known, foreign = CronExpression(text, key), CronExpression(text, OldStyleZone(key))
    for start in ("2011-12-28", "2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31"):
        count = 200
        assert list(islice(foreign.occurrences(utc(start)), count)) == list(
            islice(known.occurrences(utc(start)), count)
        )
    year = utc("2026-01-01"), utc("2027-01-01")
    assert [change.at for change in foreign.clock_changes(*year)] == [
        change.at for change in known.clock_changes(*year)
    ]


def test_zone_of_other_library_is_a_value() -> None:
    """Expressions with equal zones are equal, can be hashed and pickled, and shown."""
    one, other = (
        CronExpression("0 9 * * *", OldStyleZone("Asia/Tokyo")),
        CronExpression("0 9 * * *", OldStyleZone("Asia/Tokyo")),
    )
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != CronExpression("0 9 * * *", OldStyleZone("Europe/Berlin"))
    assert isinstance(one.tz, WallClock)
    assert str(one.tz) == "tests.cron.test_zones.OldStyleZone"


def test_zone_of_other_library_at_ends_of_calendar() -> None:
    """The first and the last moments of the calendar raise nothing."""
    foreign = CronExpression("0 9 * * *", OldStyleZone("Europe/Berlin"))
    assert foreign.next_after(datetime.min.replace(tzinfo=UTC)) is not None
    assert foreign.next_after(datetime.max.replace(tzinfo=UTC)) is None
