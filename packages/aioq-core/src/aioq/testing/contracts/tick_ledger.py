"""Composes the suite for `aioq.protocols.TickLedger`."""

from __future__ import annotations

from aioq.testing.contracts.cron_pauses import CronPauseContract
from aioq.testing.contracts.cron_registration import CronRegistrationContract
from aioq.testing.contracts.tick_claims import TickClaimContract
from aioq.testing.contracts.tick_jobs import TickJobContract
from aioq.testing.contracts.tick_records import TickRecordContract
from aioq.testing.contracts.tick_runs import TickRunContract

__all__ = ["TickLedgerContract"]


class TickLedgerContract(
    TickClaimContract,
    TickJobContract,
    TickRunContract,
    TickRecordContract,
    CronRegistrationContract,
    CronPauseContract,
):
    """The suite for `aioq.protocols.TickLedger`; subclass it beside `BrokerContract`."""
