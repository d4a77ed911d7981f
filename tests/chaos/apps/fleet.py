"""An app with one entry that fires once for the fleet: as a cron, as a schedule, and as a stored schedule."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from aioq import Aarq
from aioq_cron import Every
from tests.chaos.apps.factory import make_app, record_run

__all__ = ["app"]

app = make_app()
every = Every(timedelta(seconds=float(os.environ["CHAOS_EVERY"])))
app.cron(every, name="inline", unique=True, misfire="all")(record_run)
app.schedule(app.task(name="job")(record_run), every, name="job", misfire="all")
stored = app.task(name="stored")(record_run)


@asynccontextmanager
async def put_schedule(app: Aarq) -> AsyncGenerator[None, None]:
    """Store the schedule when a worker starts: all but the first find it there."""
    await app.schedules.put("stored", stored, f"@every {every.interval.total_seconds():g}s", misfire="all")
    yield


app.lifespan = put_schedule
