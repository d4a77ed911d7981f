"""Runs and jobs that a user starts."""

from __future__ import annotations

from typing import cast

import anyio
import pytest

from aioq import Aarq, CronContext
from aioq.cli.cron.manual import ManualRun
from aioq.model.cron import TickReason, TickStatus
from aioq.protocols import Broker, TickLedger
from tests.core.cli.far import FarBroker


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_manual_run_interrupted_is_recorded() -> None:
    """The record does not stay `fired` for ever."""
    app = Aarq(cast("Broker", FarBroker()))
    began = anyio.Event()

    @app.cron("0 9 * * *", name="long")
    async def long(ctx: CronContext) -> None:
        began.set()
        await anyio.sleep_forever()

    run = ManualRun(app, app.crons["long"], reason=TickReason.BY_HAND, by="ada")
    async with run.ready(), anyio.create_task_group() as tg:
        tg.start_soon(run.fire, run.now())
        await began.wait()
        tg.cancel_scope.cancel()
    assert isinstance(app.broker, TickLedger)
    (record,) = await app.broker.tick_history(app.crons["long"].key)
    assert (record.status, record.error) == (TickStatus.FAILED, "interrupted")
