"""Contains the helpers that the suites of a tick ledger share."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from aioq.conformance import lacking
from aioq.model.cron import (
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    TickClaim,
    TickRecord,
    TickReply,
    TickRun,
    TickStatus,
)
from aioq.protocols import Broker, TickLedger
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["HOURLY", "MINUTELY", "LedgerSuite"]

MINUTELY = "* * * * * [UTC]"
HOURLY = "0 * * * * [UTC]"

# One count for all tests: a broker may remember the request ids of an earlier one.
_requests = count(1)


class LedgerSuite(BrokerSuite):
    """Makes tick claims, entries and records, in queue `q` and for the entry `report` by default.

    A tick may be up to a second ahead, so claims of the next ticks need no time to pass.
    """

    @pytest.fixture
    def ledger(self, broker: Broker) -> TickLedger:
        """The broker as a tick ledger."""
        assert isinstance(broker, TickLedger), f"it lacks {lacking(broker, TickLedger)}"
        return broker

    @staticmethod
    def key(name: str = "report") -> CronKey:
        """Return the key of an entry."""
        return CronKey("q", name)

    @staticmethod
    def entry(name: str = "report", fingerprint: str = MINUTELY, **changes: Any) -> CronDefinition:
        """Return the definition of an entry."""
        fields: dict[str, Any] = {
            "queue": "q",
            "name": name,
            "kind": "cron",
            "expression": fingerprint.partition(" [")[0],
            "tz": "UTC",
            "fingerprint": fingerprint,
            "unique": True,
        }
        return CronDefinition(**{**fields, **changes})

    @staticmethod
    def claim_of(*ticks: float, worker: str = "w1", **changes: Any) -> TickClaim:
        """Return a claim with a new request id."""
        fields: dict[str, Any] = {
            "name": "report",
            "queue": "q",
            "fingerprint": MINUTELY,
            "request_id": f"claim-{next(_requests)}",
        }
        return TickClaim(ticks=ticks, worker_id=worker, **{**fields, **changes})

    async def claim_tick(self, ledger: TickLedger, *ticks: float, worker: str = "w1", **changes: Any) -> TickReply:
        """Claim ticks with a new request id."""
        return await ledger.claim_tick(self.claim_of(*ticks, worker=worker, **changes))

    async def register(
        self, ledger: TickLedger, *crons: CronDefinition, app: str = "app", version: str = "1"
    ) -> CronChanges:
        """Register entries of an app."""
        return await ledger.register_crons(app, version, crons, ttl=60)

    async def status(self, ledger: TickLedger, name: str = "report") -> CronStatus:
        """Return the status of an entry; register it first if necessary."""
        if not any(status.definition.name == name for status in await ledger.cron_statuses()):
            await self.register(ledger, self.entry(name))
        (status,) = [status for status in await ledger.cron_statuses() if status.definition.name == name]
        return status

    @staticmethod
    def tick_record(tick: float, status: TickStatus = TickStatus.OK, **changes: Any) -> TickRecord:
        """Return a record of one tick."""
        fields: dict[str, Any] = {"name": "report", "queue": "q", "tick": tick, "status": status}
        return TickRecord(**{**fields, **changes})

    @staticmethod
    def run_of(tick: float, worker: str = "w1", name: str = "report") -> TickRun:
        """Return the run of a tick."""
        return TickRun(name=name, queue="q", tick=tick, worker_id=worker)

    async def recorded(self, ledger: TickLedger, name: str = "report") -> list[tuple[float, str, str]]:
        """Return tick, status and reason of an entry's records, newest first."""
        records = await ledger.tick_history(self.key(name))
        return [(record.tick, record.status.value, record.reason) for record in records]

    async def whole_now(self, broker: Broker) -> float:
        """Return the broker's clock in whole milliseconds, which ledgers return unchanged."""
        return round(await broker.time(), 3)
