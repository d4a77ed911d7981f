"""The zone of a cron entry."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

from aioq.cron.entry import zone_named


def test_zone_named_unknown_zone_is_utc() -> None:
    """An entry may have a zone that was read from a file, which has no name to find it by."""
    assert zone_named("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert zone_named("zoneinfo.ZoneInfo.from_file(...)") is UTC
    assert zone_named("") is UTC
