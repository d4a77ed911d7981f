"""Many entries of a fleet that are due at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import anyio
import pytest

from aioq import Aarq, Worker
from aioq.backends.memory import MemoryBroker
from aioq.errors import BrokerFull
from aioq.model.cron import TickClaim, TickReply
from aioq.testing import VirtualClock
from aioq.worker.cron.tick_claims import MAX_SINGLE_CLAIMS
from aioq_cron import Every

ENTRIES = 500


class SlowLedger(MemoryBroker):
    """A broker that takes time to answer, and counts the claims that wait."""

    def __init__(self, clock: VirtualClock, *, one_by_one: bool) -> None:
        super().__init__(clock=clock)
        self._one_by_one = one_by_one
        self._slow = clock
        self._waiting = 0
        self.most = 0

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Answer after a while."""
        await self._take_time(1)
        return await super().claim_tick(claim)

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Answer after a while, or refuse, so that the worker claims one by one."""
        if self._one_by_one:
            raise BrokerFull("no room")
        await self._take_time(len(claims))
        return [await super(SlowLedger, self).claim_tick(claim) for claim in claims]

    async def _take_time(self, claims: int) -> None:
        self._waiting += claims
        self.most = max(self.most, self._waiting)
        await self._slow.sleep(0.1)
        self._waiting -= claims


@pytest.fixture
def anyio_backend() -> str:
    """Use asyncio, on which the virtual clock is fastest."""
    return "asyncio"


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_tick_claims_in_flight_are_limited(one_by_one: bool) -> None:
    """A worker limits its concurrent claims; thousands at once would all time out and be repeated."""
    clock, fired = VirtualClock(), set[str]()
    broker = SlowLedger(clock, one_by_one=one_by_one)
    app = Aarq(broker, name="many")

    async def note(ctx: dict[str, Any]) -> None:
        fired.add(ctx["cron_name"])

    for number in range(ENTRIES):
        app.cron(Every(timedelta(seconds=10)), name=f"n{number}", unique=True)(note)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Worker(app, clock=clock, handle_signals=False).run)
        await clock.advance(15)
        tasks.cancel_scope.cancel()
    assert broker.most == MAX_SINGLE_CLAIMS
    assert len(fired) == ENTRIES
