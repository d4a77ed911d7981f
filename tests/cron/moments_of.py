"""Short ways to write moments, and to read what a schedule makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from aioq_cron import CronExpression


def naive(text: str) -> datetime:
    """Return an ISO time that belongs to no zone."""
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    """Return an ISO time as a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str, *, fold: int = 0) -> datetime:
    """Return an ISO time on the clocks of a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def runs(expression: str, zone: str, after: str, count: int) -> list[str]:
    """Return the next runs after a local time, as local times with their offsets."""
    schedule = CronExpression(expression, zone)
    return shown(islice(schedule.occurrences(local(after, zone)), count), zone)


def shown(moments: Iterable[datetime], zone: str) -> list[str]:
    """Return moments as `2026-10-25 02:30 +01:00` on the clocks of a zone."""
    return [f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {_offset(moment, zone)}" for moment in moments]


def _offset(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).isoformat()[-6:]
