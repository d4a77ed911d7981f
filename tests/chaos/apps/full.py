"""The app of the workers that empty a full server: jobs with results, and a schedule."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from aioq import Aarq
from aioq_cron import Every
from tests.chaos.apps.factory import make_app
from tests.chaos.job_log import JobLog

__all__ = ["app", "define", "log_end"]


def log_end(job_log: JobLog) -> Callable[..., Any]:
    """Return a function for a task that logs its end and returns its text."""

    async def answer(ctx: dict[str, Any], text: str = "") -> str:
        job_log.write("end", ctx)
        return text

    return answer


def define(app: Aarq, job_log: JobLog) -> None:
    """Define the tasks of the app, for workers and for programs that enqueue."""
    app.task(name="answer")(log_end(job_log))
    pulse = app.task(name="pulse", result_ttl=1)(log_end(job_log))
    app.schedule(pulse, Every(timedelta(seconds=1)), name="pulse", grace=1, misfire="skip")


if "CHAOS_RUNS" in os.environ:
    app = make_app()
    define(app, JobLog(Path(os.environ["CHAOS_RUNS"])))
