"""The tasks of workers that are put through something: each writes down what it does."""

from __future__ import annotations

import os
import time
from typing import Any

import anyio

from aioq import Aarq
from tests.chaos.journal import Journal

__all__ = ["HARDY_CRASHES", "INNOCENT_RETRIES", "define"]

HARDY_CRASHES = 10
INNOCENT_RETRIES = 2


def define(app: Aarq, journal: Journal) -> None:
    """Define the tasks of an app: for the workers that run them, and for those that enqueue."""

    async def nap(ctx: dict[str, Any], seconds: float, later: float | None = None) -> None:
        """Sleep; for another time when it has been begun before."""
        journal.write("begin", ctx)
        await anyio.sleep(seconds if later is None or ctx["epoch"] == 1 else later)
        journal.write("end", ctx)

    app.task(name="kept")(nap)
    app.task(name="nap", save_result=False)(nap)
    app.task(name="hardy", save_result=False, max_crashes=HARDY_CRASHES)(nap)

    @app.task(name="poison")
    async def poison(ctx: dict[str, Any]) -> None:
        """Take the worker down."""
        journal.write("begin", ctx)
        await anyio.sleep(0.1)
        os._exit(1)

    @app.task(name="innocent", retries=INNOCENT_RETRIES, retry_delay=0.05)
    async def innocent(ctx: dict[str, Any], seconds: float) -> None:
        """Need every retry there is: raise as often as it may."""
        journal.write("begin", ctx)
        await anyio.sleep(seconds)
        raised = sum(mark.job_id == ctx["job_id"] and mark.what == "raise" for mark in journal.read())
        if raised < INNOCENT_RETRIES:
            journal.write("raise", ctx)
            raise RuntimeError("not yet")
        journal.write("end", ctx)

    @app.task(name="block")
    async def block(ctx: dict[str, Any], seconds: float) -> int:
        """Hold the event loop up the first time, and return the epoch."""
        journal.write("begin", ctx)
        if ctx["epoch"] == 1:
            time.sleep(seconds)  # noqa: ASYNC251  # that is what it is for
        journal.write("end", ctx)
        return int(ctx["epoch"])

    @app.task(name="swallow", save_result=False)
    async def swallow(ctx: dict[str, Any], value: object) -> None:
        """Take anything."""
        journal.write("begin", ctx)
        journal.write("end", ctx)
