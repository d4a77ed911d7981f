"""Finds out what a reader has chosen: the time zone, and light or dark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from starlette.requests import Request

__all__ = ["ZONE_COOKIE", "Reader", "reader_of"]

ZONE_COOKIE: Final = "aioq_zone"
"""The script of the pages sets it to the zone of the browser."""

THEME_COOKIE: Final = "aioq_theme"
THEMES: Final = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Reader:
    """What a reader has chosen.

    Args:
        zone: The zone of the reader's browser; UTC without JavaScript.
        theme: `light` or `dark`; empty to follow the system.
    """

    zone: tzinfo
    theme: str = ""

    @property
    def zone_name(self) -> str:
        """The last part of the name of the zone, as in "New York"."""
        return str(self.zone).rpartition("/")[2].replace("_", " ")

    def offset(self, now: float) -> str:
        """Return the offset of the zone from UTC at a moment: "UTC-5", "UTC+5:30", "UTC"."""
        seconds = int((datetime.fromtimestamp(now, self.zone).utcoffset() or timedelta()).total_seconds())
        hours, minutes = divmod(abs(seconds) // 60, 60)
        if not seconds:
            return "UTC"
        return f"UTC{'-' if seconds < 0 else '+'}{hours}{f':{minutes:02}' if minutes else ''}"


def reader_of(request: Request) -> Reader:
    """Return what the reader of a request has chosen."""
    theme = request.cookies.get(THEME_COOKIE, "")
    return Reader(_zone(request.cookies.get(ZONE_COOKIE, "UTC")), theme if theme in THEMES else "")


@lru_cache(256)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone, or a name that is a path
        return ZoneInfo("UTC")
