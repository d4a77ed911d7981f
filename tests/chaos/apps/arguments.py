"""Two releases of two tasks: each release has a parameter that the other lacks, and one of the tasks has `**kwargs`."""

from __future__ import annotations

from typing import Any

from aioq import Aarq
from aioq.task import Call
from tests.chaos.job_log import JobLog

__all__ = ["CLOSED", "OPEN", "calls", "define_release"]

CLOSED = "closed"
OPEN = "open"


def define_release(app: Aarq, release: str, job_log: JobLog) -> None:
    """Define the tasks of release `1` or `2`."""

    def run(ctx: dict[str, Any]) -> None:
        job_log.write("begin", ctx)
        job_log.write("end", ctx)

    async def closed_1(ctx: dict[str, Any], number: int, first: str = "") -> None:
        run(ctx)

    async def closed_2(ctx: dict[str, Any], number: int, second: str = "") -> None:
        run(ctx)

    async def open_1(ctx: dict[str, Any], /, number: int, first: str = "", **kwargs: Any) -> None:
        run(ctx)

    async def open_2(ctx: dict[str, Any], /, number: int, second: str = "", **kwargs: Any) -> None:
        run(ctx)

    app.task(name=CLOSED)(closed_1 if release == "1" else closed_2)
    app.task(name=OPEN)(open_1 if release == "1" else open_2)


def calls(app: Aarq, release: str, task: str, number: int) -> list[Call[Any]]:
    """Return calls as a client of a release makes them, with the parameter that only this release has."""
    argument = {"first" if release == "1" else "second": "given"}
    chosen = app.tasks[task]
    return [chosen.options(job_id=f"{task}-{n}").call(n, **argument) for n in range(number)]
