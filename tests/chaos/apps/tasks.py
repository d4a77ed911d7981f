"""The tasks of the faults of jobs: each logs when it begins and when it ends."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

import anyio

from aioq import Aarq
from tests.chaos.job_log import JobLog

__all__ = ["FAILING_RETRIES", "MAX_CRASHES", "STUCK_TIMEOUT", "define"]

MAX_CRASHES = 10
FAILING_RETRIES = 2
STUCK_TIMEOUT = 0.5
"""Timeout in seconds of the tasks that ignore it."""


def define(app: Aarq, job_log: JobLog) -> None:
    """Define the tasks of an app, for workers and for programs that enqueue."""

    async def nap(ctx: dict[str, Any], seconds: float, later: float | None = None) -> None:
        """Sleep; in a second run for `later` seconds, if given."""
        job_log.write("begin", ctx)
        await anyio.sleep(seconds if later is None or ctx["epoch"] == 1 else later)
        job_log.write("end", ctx)

    app.task(name="kept")(nap)
    app.task(name="nap", save_result=False)(nap)
    app.task(name="crash_tolerant", save_result=False, max_crashes=MAX_CRASHES)(nap)

    @app.task(name="poison")
    async def poison(ctx: dict[str, Any]) -> None:
        """Crash the worker."""
        job_log.write("begin", ctx)
        await anyio.sleep(0.1)
        os._exit(1)

    @app.task(name="failing", retries=FAILING_RETRIES, retry_delay=0.05)
    async def failing(ctx: dict[str, Any], seconds: float) -> None:
        """Raise until the last retry."""
        job_log.write("begin", ctx)
        await anyio.sleep(seconds)
        raised = sum(event.job_id == ctx["job_id"] and event.kind == "raise" for event in job_log.read())
        if raised < FAILING_RETRIES:
            job_log.write("raise", ctx)
            raise RuntimeError("not yet")
        job_log.write("end", ctx)

    @app.task(name="block")
    async def block(ctx: dict[str, Any], seconds: float) -> int:
        """Block the event loop in the first run, and return the epoch."""
        job_log.write("begin", ctx)
        if ctx["epoch"] == 1:
            time.sleep(seconds)  # noqa: ASYNC251  # this task has to block the loop
        job_log.write("end", ctx)
        return int(ctx["epoch"])

    @app.task(name="swallow", save_result=False)
    async def swallow(ctx: dict[str, Any], value: object) -> None:
        """Accept any value."""
        job_log.write("begin", ctx)
        job_log.write("end", ctx)

    _define_stuck(app, job_log)


def _define_stuck(app: Aarq, job_log: JobLog) -> None:
    @app.task(name="deaf", timeout=STUCK_TIMEOUT)
    async def deaf(ctx: dict[str, Any]) -> None:
        """Swallow every cancellation."""
        job_log.write("begin", ctx)
        while True:
            with contextlib.suppress(BaseException):
                await anyio.sleep(60)

    @app.task(name="hang", timeout=STUCK_TIMEOUT)
    def hang(ctx: dict[str, Any]) -> None:
        """Block a thread."""
        job_log.write("begin", ctx)
        time.sleep(3600)
