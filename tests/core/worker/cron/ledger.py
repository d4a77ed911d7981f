"""Reads the records of a ledger."""

from __future__ import annotations

from aioq.model.cron import CronKey, CronStatus, TickRecord
from aioq.protocols import TickLedger
from tests.core.worker.cron.notes import START


class Ledger:
    """What a broker knows of entries of the queue `default`. Ticks are seconds since the start."""

    def __init__(self, broker: TickLedger) -> None:
        self._broker = broker

    async def records(self, name: str = "entry") -> list[TickRecord]:
        """Return the records of an entry, oldest first."""
        return (await self._broker.tick_history(CronKey("default", name)))[::-1]

    async def told(self, name: str = "entry") -> list[tuple[float, str, str, int]]:
        """Return tick, status, reason or error, and count of each record, oldest first."""
        return [
            (record.tick - START, record.status.value, record.reason or record.error, record.count)
            for record in await self.records(name)
        ]

    async def status(self, name: str = "entry") -> CronStatus:
        """Return what is known of an entry, which must be registered."""
        status = await self._broker.cron_status(CronKey("default", name))
        assert status is not None
        return status
