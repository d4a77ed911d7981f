"""How much later than its moment a tick fires, so that not everything starts at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from aioq.cron.entry import CronEntry
from aioq.cron.steps import INSTANT, step

__all__ = ["due", "offset"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def offset(entry: CronEntry, tick: datetime) -> float:
    """Return the seconds by which a tick of an entry is put off: the same in every process.

    From 0 up to the entry's `jitter`, and less than the time to the following tick, so that
    ticks stay in order.
    """
    return _offset(entry, tick).total_seconds() if entry.options.jitter else 0.0


def due(entry: CronEntry, tick: datetime) -> datetime:
    """Return the moment at which a tick is to fire: its own, put off by its jitter."""
    return tick + _offset(entry, tick) if entry.options.jitter else tick


def _offset(entry: CronEntry, tick: datetime) -> timedelta:
    limit = timedelta(seconds=entry.options.jitter)
    following = step(entry.schedule, tick)
    if following is not None:
        limit = min(limit, following - tick)
    return limit // INSTANT * _chance(entry.name, tick) // 2**64 * INSTANT


def _chance(name: str, tick: datetime) -> int:
    """Return 64 bits that name and tick settle."""
    text = f"{name} {(tick - _EPOCH) // INSTANT}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
