"""Our crons, each at instants of its own, so that none waits for another."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from aioq import Aarq
from aioq.backends import RedisBroker
from aioq_cron import Every

__all__ = ["app"]

START = datetime(2026, 1, 1, tzinfo=UTC)

app = Aarq(RedisBroker(os.environ["BENCH_URL"]), name="bench")


async def tick(ctx: dict[str, Any]) -> None:
    """Write down how late the tick of `ctx` is."""
    scheduled_at = ctx["scheduled_at"].timestamp()
    late = time.time() - scheduled_at
    line = os.open(f"{os.environ['BENCH_OUT']}.{ctx['cron_name']}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(line, f"{scheduled_at:.3f} {late:.6f}\n".encode())
    os.close(line)


def every_second(part: float) -> Every:
    """Return a tick at a part of every second."""
    return Every(timedelta(seconds=1), start=START + timedelta(seconds=part))


task = app.task(name="tick")(tick)
app.cron(every_second(0.25), name="each-second")(tick)
app.cron(every_second(0.5), name="unique-second", unique=True)(tick)
app.schedule(task, every_second(0.75), name="schedule-second")
app.cron("* * * * *", name="each-minute")(tick)
app.cron("* * * * *", name="unique-minute", unique=True)(tick)
app.schedule(task, "* * * * *", name="schedule-minute")
