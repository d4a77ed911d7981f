"""Composes the suite for `aioq.protocols.Schedules`."""

from __future__ import annotations

from aioq.testing.contracts.schedule_firing import ScheduleFiringContract
from aioq.testing.contracts.schedule_puts import SchedulePutContract
from aioq.testing.contracts.schedule_reservations import ScheduleReservationContract

__all__ = ["SchedulesContract"]


class SchedulesContract(SchedulePutContract, ScheduleReservationContract, ScheduleFiringContract):
    """The suite for `aioq.protocols.Schedules`; subclass it beside `BrokerContract` and `TickLedgerContract`."""
