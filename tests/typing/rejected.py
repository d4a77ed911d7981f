# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
# ruff: noqa: D103
"""What callers are stopped from doing. Never run: mypy and pyright read it.

Every mistake is marked with what mypy calls it; pyright reads the marks too. In both a mark
that is no longer needed is an error, so a mistake that one of them stops finding fails the check.
"""

from __future__ import annotations

from typing import assert_type

from aioq import Aarq, Call, Job, JobContext
from aioq.backends import MemoryBroker
from aioq.protocols import Broker

app = Aarq(MemoryBroker())


@app.task
async def send_email(ctx: JobContext, to: str, *, urgent: bool = False) -> str:
    return to


@app.task(retries=3)
def add(ctx: JobContext, a: int, b: int) -> int:
    return a + b


async def arguments() -> None:
    await send_email.enqueue(1)  # type: ignore[arg-type]
    await send_email.enqueue()  # type: ignore[call-arg]
    await send_email.enqueue("a@b.c", True)  # type: ignore[call-arg]
    await send_email.enqueue(too="a@b.c")  # type: ignore[call-arg]
    await send_email.enqueue("a@b.c", urgent="yes")  # type: ignore[arg-type]
    await add.enqueue(1)  # type: ignore[call-arg]
    await add.enqueue(1, 2, 3)  # type: ignore[call-arg]
    await add.enqueue(1, "2")  # type: ignore[arg-type]


async def arguments_of_calls() -> None:
    send_email.call(1)  # type: ignore[arg-type]
    await send_email.options(defer_by=5).enqueue(1)  # type: ignore[arg-type]
    add.options(priority=9).call(1)  # type: ignore[call-arg]


async def direct_calls(ctx: JobContext) -> None:
    await send_email(ctx, 1)  # type: ignore[arg-type]
    await send_email("a@b.c")  # type: ignore[arg-type, call-arg]
    send_email.send("a@b.c")  # type: ignore[attr-defined]


async def results() -> None:
    job = await add.enqueue(1, 2)
    text: str = await job.result()  # type: ignore[assignment]
    assert_type(text, str)
    wrong: Job[str] = job  # type: ignore[assignment]
    assert_type(wrong, Job[str])
    await job.result("10")  # type: ignore[arg-type]


async def batches() -> None:
    await add.enqueue_many([send_email.call("a@b.c")])  # type: ignore[list-item]
    await add.enqueue_many([(1, 2)])  # type: ignore[list-item]
    call: Call[str] = add.call(1, 2)  # type: ignore[assignment]
    assert_type(call, Call[str])


def task_options() -> None:
    app.task(retrys=3)  # type: ignore[call-overload]
    app.task(retries="3")  # type: ignore[call-overload]
    app.task(backoff="fibonacci")  # type: ignore[call-overload]
    app.task(retry_on=[OSError])  # type: ignore[call-overload]
    app.task("send_email")  # type: ignore[call-overload]
    send_email.options(delay=5)  # type: ignore[call-arg]
    send_email.options(priority="high")  # type: ignore[arg-type]


def cron_options() -> None:
    app.cron(5)  # type: ignore[arg-type]
    app.cron("* * * * *", qeue="reports")  # type: ignore[call-arg]
    app.cron("* * * * *", unique="yes")  # type: ignore[arg-type]
    app.cron("* * * * *", misfire="twice")  # type: ignore[arg-type]
    app.cron("* * * * *", overlap="wait")  # type: ignore[arg-type]
    app.cron("* * * * *", grace="1m")  # type: ignore[arg-type]
    app.cron("* * * * *", start="2026-01-01")  # type: ignore[arg-type]
    app.cron("* * * * *", args=["users"])  # type: ignore[arg-type]
    app.cron("* * * * *", on_error="alarm")  # type: ignore[arg-type]


def schedules() -> None:
    app.schedule(send_email)  # type: ignore[call-arg]
    app.schedule(arguments, "@daily")  # type: ignore[arg-type]
    app.schedule("send_email", "@daily")  # type: ignore[arg-type]
    app.schedule(send_email, 5)  # type: ignore[arg-type]
    app.schedule(send_email, "@daily", ("a@b.c",))  # type: ignore[call-arg]
    app.schedule(send_email, "@daily", args="a@b.c")  # type: ignore[arg-type]
    app.schedule(send_email, "@daily", timeout=5)  # type: ignore[call-arg]
    app.schedule(send_email, "@daily", queue="mail")  # type: ignore[call-arg]
    app.schedule(send_email, "@daily", misfire="twice")  # type: ignore[arg-type]


def a_task_takes_the_context_first() -> None:
    @app.task  # type: ignore[arg-type]
    async def no_context() -> None: ...


def brokers() -> None:
    Aarq(6379)  # type: ignore[arg-type]
    MemoryBroker(size=5)  # type: ignore[call-arg]
    broker: Broker = object()  # type: ignore[assignment]
    assert_type(broker, Broker)
