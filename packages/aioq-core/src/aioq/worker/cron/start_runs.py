"""Finds the moment at which an entry with `run_on_start` fires when a worker starts: a tick beside its schedule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from aioq.cron import CronEntry, Tick
from aioq.errors import PartlyUnavailable
from aioq.model.cron import CronKey, CronStatus
from aioq.protocols import TickLedger

__all__ = ["PAUSES_KNOWN", "armed_times", "start_ticks", "start_ticks_of_fleet"]

PAUSES_KNOWN = 1.0
"""Seconds for which entries of each worker wait until the worker knows which entries are paused."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)


def start_ticks(entries: Iterable[CronEntry], now: datetime) -> Iterator[Tick]:
    """Yield the ticks with which entries of each worker fire at the worker's start."""
    for entry in _wanted(entries, now):
        yield Tick(entry, _floor(now, _SECOND))


def start_ticks_of_fleet(entries: Iterable[CronEntry], armed: dict[CronKey, float], now: datetime) -> Iterator[Tick]:
    """Yield the ticks with which entries of the fleet fire at the start of a worker.

    Workers that start in the same `grace` seconds have the same tick, and the ledger lets one of them fire it.
    """
    for entry in _wanted(entries, now):
        if (armed_at := armed.get(entry.key)) is None:
            continue  # its queue cannot be reached, or its name is registered by another app
        # The ledger takes every tick up to this moment as decided.
        first = _floor(datetime.fromtimestamp(armed_at, UTC), _MILLISECOND) + _MILLISECOND
        yield Tick(entry, max(first, _floor(now, timedelta(seconds=entry.options.grace))))


async def armed_times(ledger: TickLedger, app: str) -> dict[CronKey, float]:
    """Return since when the entries of an app owe ticks, without those of queues that cannot be reached."""
    try:
        statuses: Sequence[CronStatus] = await ledger.cron_statuses(app)
    except PartlyUnavailable as error:
        statuses = error.answer
    return {status.definition.key: status.armed_at for status in statuses}


def _wanted(entries: Iterable[CronEntry], now: datetime) -> Iterator[CronEntry]:
    for entry in entries:
        options = entry.options
        if options.run_on_start and (options.start or now) <= now <= (options.end or now):
            yield entry


def _floor(moment: datetime, unit: timedelta) -> datetime:
    return _EPOCH + (moment - _EPOCH) // unit * unit
