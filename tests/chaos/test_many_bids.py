"""Many entries of a fleet that are due at one instant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest

from aioq import Aarq, Worker
from aioq.backends.memory import MemoryBroker
from aioq.testing import VirtualClock
from aioq.ticks import TickClaim, TickReply
from aioq.worker.cron.bidding import AT_ONCE
from aioq_cron import Every

ENTRIES = 500


class SlowLedger(MemoryBroker):
    """Takes its time for an answer, and counts who waits for one."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self._slow, self._waiting, self.most = clock, 0, 0

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Answer after a while."""
        self._waiting += 1
        self.most = max(self.most, self._waiting)
        await self._slow.sleep(0.1)
        self._waiting -= 1
        return await super().claim_tick(claim)


@pytest.fixture
def anyio_backend() -> str:
    """The virtual clock is fastest on asyncio."""
    return "asyncio"


async def test_claims_wait_for_each_other_beyond_some_at_a_time() -> None:
    """Thousands at once would wait for each other until none has time left, and then begin again."""
    clock, fired = VirtualClock(), set[str]()
    broker = SlowLedger(clock)
    app = Aarq(broker, name="many")

    async def note(ctx: dict[str, Any]) -> None:
        fired.add(ctx["cron_name"])

    for number in range(ENTRIES):
        app.cron(Every(timedelta(seconds=10)), name=f"n{number}", unique=True)(note)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Worker(app, clock=clock, handle_signals=False).run)
        await clock.advance(15)
        tasks.cancel_scope.cancel()
    assert broker.most == AT_ONCE
    assert len(fired) == ENTRIES
