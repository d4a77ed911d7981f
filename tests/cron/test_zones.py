"""Time zones: names that do not exist, wrong types, and a host without zone data."""

from __future__ import annotations

from datetime import UTC

import pytest

from aioq_cron import CronExpression, InvalidCronExpression
from aioq_cron.zones import find_zone


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


@pytest.mark.parametrize("tz", [2, UTC, b"UTC"])
def test_zone_of_wrong_type_raises_type_error(tz: object) -> None:
    """Offsets and other tzinfo classes raise a TypeError."""
    with pytest.raises(TypeError, match=r'^tz is a name such as "Europe/Berlin", a ZoneInfo or None, got '):
        CronExpression("* * * * *", tz)  # type: ignore[arg-type]


def test_missing_zone_data_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the host has no zone data at all, the error says what to install."""
    monkeypatch.setattr("aioq_cron.zones.available_timezones", set)
    with pytest.raises(InvalidCronExpression, match=r"no time zone data here; run: pip install tzdata"):
        find_zone("Middle/Earth")
