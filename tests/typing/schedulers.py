# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
# ruff: noqa: D103
"""Schedules and schedulers as types. Never run: mypy and pyright read it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_type

from aioq import Aarq, AioqError, CronContext
from aioq.cron.schedule import Schedule
from aioq.cron.scheduler import Scheduler
from aioq_cron import CronExpression, CronScheduler, Every, InvalidCronExpression

app = Aarq(scheduler=CronScheduler())
scheduler: Scheduler = CronScheduler()
schedules: list[Schedule] = [CronExpression("0 9 * * *", "Europe/Berlin"), Every(timedelta(seconds=90))]

assert_type(CronScheduler().parse("@daily"), CronExpression | Every)
assert_type(CronExpression("@daily").next_after(datetime.now().astimezone()), datetime | None)


@app.cron(Every(timedelta(minutes=90)), unique=True)
async def often(ctx: CronContext) -> None: ...


def errors(error: InvalidCronExpression) -> tuple[AioqError, ValueError]:
    assert_type(error.field, str | None)
    return error, error


Every(90)  # type: ignore[arg-type]
CronExpression(5)  # type: ignore[arg-type]
app.cron(timedelta(minutes=5))  # type: ignore[arg-type]
wrong: Scheduler = Every(timedelta(minutes=5))  # type: ignore[assignment]
