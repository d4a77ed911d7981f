"""Zones of entries by name, and their text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest

from aioq import Aarq
from aioq.cron.zones import load_zone, zone_named, zone_text
from tests.core.plain_scheduler import PlainScheduler


class Nowhere(tzinfo):
    """A zone without a text of its own."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        """Return the offset."""
        return timedelta()

    def dst(self, _: datetime | None) -> timedelta:
        """Return nothing."""
        return timedelta()

    def tzname(self, _: datetime | None) -> str:
        """Return a name."""
        return "NOW"


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        (ZoneInfo("Europe/Berlin"), "Europe/Berlin"),
        (UTC, "UTC"),
        (timezone(timedelta(hours=-3, minutes=-30)), "UTC-03:30"),
        (timezone(timedelta(hours=2), "mine"), "UTC+02:00"),
        (Nowhere(), "tests.core.cron.test_zones.Nowhere"),
    ],
)
def test_zone_text_is_the_same_in_every_process(zone: tzinfo, text: str) -> None:
    """The text is a name or an offset, and has no address of an object."""
    assert zone_text(zone) == text


def test_zone_named_finds_what_zone_text_named() -> None:
    """A zone that cannot be found by its text is UTC."""
    for zone in (ZoneInfo("Europe/Berlin"), timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(seconds=1))):
        assert zone_named(zone_text(zone)) == zone
    for text in ("zoneinfo.ZoneInfo.from_file(...)", "", "localtime", "UTC+99:00"):
        assert zone_named(text) is UTC


def test_load_zone_of_host_is_refused() -> None:
    """Its rules differ from host to host."""
    with pytest.raises(ValueError, match="is the zone of the host"):
        load_zone("localtime")


def test_app_takes_any_zone() -> None:
    """An app and an entry may have a fixed offset; the entry shows it as text."""
    plus_two = timezone(timedelta(hours=2))
    app = Aarq(tz=plus_two, scheduler=PlainScheduler())
    app.cron("every 5", name="a")(print)
    app.cron("every 5", name="b", tz=UTC)(print)
    assert [entry.tz for entry in app.crons] == ["UTC+02:00", "UTC"]
    assert app.crons["a"].zone == plus_two
    with pytest.raises(ValueError, match="is the zone of the host"):
        Aarq(tz="localtime")
