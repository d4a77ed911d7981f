# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
# ruff: noqa: D103
"""What the public API makes of a caller's types. Never run: mypy and pyright read it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, assert_type

from aioq import (
    Aarq,
    Call,
    Context,
    CronContext,
    CronOptions,
    Job,
    JobContext,
    JobRecord,
    JobState,
    ScheduledContext,
    Task,
    Worker,
)
from aioq.backends import MemoryBroker
from aioq.clock import Clock
from aioq.cron.schedule import Schedule
from aioq.protocols import Broker, JobStore, Signals, TickLedger, WorkerRegistry
from aioq.testing import VirtualClock


@dataclass
class Report:
    """A type of the caller's own."""

    rows: int


class Database:
    """What a lifespan opens."""


class AppContext(JobContext):
    """The context as this app's lifespan fills it."""

    database: Database


@asynccontextmanager
async def lifespan(app: Aarq) -> AsyncGenerator[dict[str, Any], None]:
    yield {"database": Database()}


app = Aarq(MemoryBroker(), tz="Europe/Berlin", lifespan=lifespan)


@app.task
async def plain(ctx: JobContext, to: str, when: datetime | None = None) -> str:
    assert_type(ctx["job_id"], str)
    assert_type(ctx["attempt"], int)
    assert_type(ctx["broker"], Broker)
    return to


@app.task(queue="reports", retries=3, retry_delay=5.0, backoff="constant", timeout=30, retry_on=(OSError,))
async def with_options(ctx: JobContext, number: int, *, deep: bool = False) -> Report:
    return Report(rows=number)


@app.task
def in_a_thread(ctx: JobContext, number: int) -> list[int]:
    return [number]


@app.task(name="cpu.heavy", save_result=False)
def in_a_thread_with_options(ctx: Context, number: int) -> None:
    return None


@app.task
async def own_context(ctx: AppContext) -> int:
    assert_type(ctx["database"], Database)
    return 1


@app.task()
async def untyped_context(ctx, number: int) -> int:  # type: ignore[no-untyped-def]
    return number


assert_type(plain.name, str)
tasks: list[Task[..., Any]] = [plain, with_options, in_a_thread]


async def enqueue() -> None:
    job = await plain.enqueue("a@b.c", when=datetime.now(UTC))
    assert_type(job, Job[str])
    assert_type(await job.result(timeout=10), str)
    assert_type(await job.result(), str)
    assert_type(await job.state(), JobState | None)
    assert_type(await job.info(), JobRecord | None)
    assert_type(await job.cancel(), bool)
    assert_type(job.id, str)
    assert_type(await with_options.enqueue(3, deep=True), Job[Report])
    assert_type(await in_a_thread.enqueue(3), Job[list[int]])
    assert_type(await in_a_thread_with_options.enqueue(number=3), Job[None])
    assert_type(await own_context.enqueue(), Job[int])
    assert_type(await untyped_context.enqueue(3), Job[int])


async def enqueue_with_options() -> None:
    later = plain.options(defer_by=60, priority=9, job_id="welcome-7")
    assert_type(await later.enqueue("a@b.c"), Job[str])
    assert_type(later.call("a@b.c"), Call[str])
    assert_type(await in_a_thread.options(defer_by=timedelta(hours=1)).enqueue(3), Job[list[int]])
    assert_type(await with_options.options(defer_until=datetime.now(UTC)).enqueue(3, deep=True), Job[Report])
    assert_type(await with_options.options(expires=datetime.now(UTC)).enqueue(3, deep=True), Job[Report])


async def enqueue_many() -> None:
    assert_type(plain.call("a@b.c"), Call[str])
    jobs = await plain.enqueue_many(plain.call(to) for to in ("a@b.c", "d@e.f"))
    assert_type(jobs, list[Job[str]])
    assert_type([await job.result() for job in jobs], list[str])
    assert_type(await app.enqueue_many([plain.call("a@b.c"), plain.call("d@e.f")]), list[Job[str]])
    calls: list[Call[Any]] = [plain.call("a@b.c"), in_a_thread.call(3)]
    assert_type(await app.enqueue_many(calls), list[Job[Any]])


async def call_directly(ctx: JobContext) -> None:
    assert_type(await plain(ctx, "a@b.c"), str)
    assert_type(await in_a_thread(ctx, 3), list[int])
    assert_type(await with_options(ctx, 3, deep=True), Report)


def hold_on_to_a_job_from_elsewhere() -> None:
    assert_type(with_options.job("0190"), Job[Report])


@app.cron("*/5 * * * *")
async def clean_up(ctx: CronContext) -> None:
    assert_type(ctx["worker_id"], str)
    assert_type(ctx["scheduled_at"], datetime)


@app.cron("0 9 * * 1-5", queue="reports", tz="Europe/Berlin", unique=True, name="daily")
def report(ctx: CronContext, weekday: int = 0) -> Report:
    return Report(rows=weekday)


async def a_cron_task_is_still_the_function(ctx: CronContext) -> None:
    assert_type(await clean_up(ctx), None)
    assert_type(report(ctx, weekday=3), Report)


async def alarm(ctx: CronContext, error: BaseException) -> None: ...


@app.cron(
    "0 3 * * *",
    misfire="skip",
    grace=30,
    catchup=3_600,
    overlap="queue_one",
    jitter=5.5,
    timeout=60,
    enabled=False,
    start=datetime(2026, 1, 1, tzinfo=UTC),
    end=None,
    args=("users",),
    kwargs={"days": 7},
    on_error=alarm,
)
async def clean_table(ctx: CronContext, table: str, *, days: int) -> None: ...


assert_type(CronOptions().misfire, Literal["once", "skip", "all"])


@app.task
async def digest(ctx: ScheduledContext, to: str) -> int:
    assert_type(ctx["cron_name"], str)
    assert_type(ctx["scheduled_at"], datetime)
    assert_type(ctx["previous_success"], datetime | None)
    assert_type(ctx["job_id"], str)
    return 1


assert_type(app.schedule(digest, "0 9 * * *", args=("a@b.c",), tz="Europe/Berlin", overlap="skip"), str)
assert_type(app.schedule(in_a_thread, "@daily", kwargs={"number": 3}, name="count", enabled=False), str)
assert_type(Aarq(MemoryBroker(), name="shop").name, str)


class Never:
    """A schedule of the caller's own."""

    def next_after(self, instant: datetime) -> None:
        return None


@app.cron(Never())
async def at_no_time(ctx: CronContext) -> None: ...


app.schedule(own_context, Never())


class Mailer:
    """Methods can be cron tasks and tasks too, once they are bound."""

    async def send(self, ctx: JobContext, to: str) -> bool:
        return True

    async def tidy(self, ctx: CronContext) -> None: ...


mailer = Mailer()
send = app.task(mailer.send)
app.cron("@daily")(mailer.tidy)


async def enqueue_a_method() -> None:
    assert_type(await send.enqueue("a@b.c"), Job[bool])


async def work() -> None:
    async with app as same:
        assert_type(same, Aarq)
        worker = Worker(same, queues=["reports"], concurrency=5, lease=30, grace=25, burst=True)
        assert_type(await worker.run(), None)


# The brokers that come with the packages keep the protocols, parameter by parameter.
broker: Broker = MemoryBroker()
store: JobStore = MemoryBroker()
registry: WorkerRegistry = MemoryBroker()
signals: Signals = MemoryBroker()
ledger: TickLedger = MemoryBroker()
schedule: Schedule = Never()
clock: Clock = VirtualClock()
