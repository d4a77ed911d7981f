"""Runs and jobs that a user starts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import anyio
import pytest

from aioq import Aarq, CronContext
from aioq.cli.cron.manual import ManualRun, manual_worker_id, time_between_ticks
from aioq.model.cron import TickReason, TickStatus
from aioq.model.ids import check_name
from aioq.protocols import Broker, TickLedger
from tests.core.cli.far import FarBroker


def test_manual_worker_id_is_valid_worker_id() -> None:
    """Every broker can store it, whatever the name of the user."""
    worker_id = manual_worker_id("Ada Lovelace@host" + "x" * 300)
    assert worker_id.startswith("by-hand-Ada-Lovelace@host")
    assert check_name("worker id", worker_id) == worker_id


def test_time_between_ticks_skips_ticks() -> None:
    """The job of a tick at the same time keeps its id."""
    app = Aarq(cast("Broker", FarBroker()))
    app.cron("0 9 * * *", name="report")(print)
    entry = app.crons["report"]
    nine = datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert time_between_ticks(entry, nine) == nine.replace(microsecond=1000)
    assert time_between_ticks(entry, nine.replace(microsecond=5678)) == nine.replace(microsecond=5000)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_manual_run_interrupted_is_recorded() -> None:
    """The record does not stay `fired` for ever."""
    app = Aarq(cast("Broker", FarBroker()))
    began = anyio.Event()

    @app.cron("0 9 * * *", name="long")
    async def long(ctx: CronContext) -> None:
        began.set()
        await anyio.sleep_forever()

    run = ManualRun(app, app.crons["long"], reason=TickReason.BY_HAND)
    async with run.ready(), anyio.create_task_group() as tg:
        tg.start_soon(run.fire, run.now())
        await began.wait()
        tg.cancel_scope.cancel()
    assert isinstance(app.broker, TickLedger)
    (record,) = await app.broker.tick_history(app.crons["long"].key)
    assert (record.status, record.error) == (TickStatus.FAILED, "interrupted")
