"""Moments as callers hand them in, made comparable."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["in_utc"]

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


def in_utc(instant: object) -> datetime:
    """Return an aware datetime in UTC, held within the years 1 to 9999.

    Raises:
        TypeError: `instant` is not a datetime.
        ValueError: It is naive: there is no telling which moment it means.
    """
    if not isinstance(instant, datetime):
        raise TypeError(f"expected an aware datetime, got {instant!r}")
    if instant.utcoffset() is None:
        raise ValueError(f"{instant!r} has no time zone; use an aware datetime such as datetime.now(timezone.utc)")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return _FIRST if instant.year == 1 else _LAST
