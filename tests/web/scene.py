"""A shop at a fixed moment, the same in each run: what the pictures of the documentation show."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace

from aioq import Aarq
from aioq.backends import MemoryBroker
from aioq.cron.definition import define, version_of
from aioq.model.cron import TickRecord, TickStatus
from aioq.model.job import ClaimRequest, Completed, Failed, Failure, Lease, Retried
from aioq.model.statistics import BUCKETS, Count, JobOutcome, Step, period_of
from aioq.model.workers import RunInfo, WorkerInfo, first_runs
from aioq.testing import VirtualClock

__all__ = ["new_scene"]

NOW: Final = datetime(2026, 3, 25, 10, 40, 30, tzinfo=UTC).timestamp()
TASKS: Final = (
    ("default", "shop.send_receipt", 300),
    ("payments", "shop.charge_card", 40),
    ("images", "shop.resize_photo", 120),
)
"""Each with its queue and about how many of its jobs end in a minute."""

WORKERS: Final = (("web-1-4711", 10, 3), ("web-2-3907", 10, 1), ("batch-1-2290", 4, 0))
KEPT: Final = 3_600.0


async def new_scene() -> Aarq:
    """Return the app of a shop with its jobs, workers, counts and ticks, at a clock that stands still."""
    clock = VirtualClock(NOW - 600)
    app = Aarq(MemoryBroker(clock=clock), name="shop", tz="Europe/Berlin")
    for queue, name, _ in TASKS:
        app.task(name=name, queue=queue, retries=3)(work)
    app.task(name="shop.export_orders", queue="exports")(work)
    app.cron("0 9 * * 1-5", name="shop.open_new_york", unique=True, tz="America/New_York")(tick)
    app.cron("30 2 * * *", name="shop.close_the_books", unique=True, tz="UTC", queue="reports")(tick)
    app.schedule(app.tasks["shop.send_receipt"], "0 6 * * *", name="shop.morning_mail", args=("all@example.org",))
    app.schedule(app.tasks["shop.export_orders"], "*/30 * * * *", name="shop.export_orders", args=("orders",))
    await app.connect()
    await _fill(app, clock)
    return app


async def work(ctx: dict[str, Any], what: str) -> None:
    """Do nothing: no worker runs it."""


async def tick(ctx: dict[str, Any]) -> None:
    """Do nothing: no worker fires it."""


async def _fill(app: Aarq, clock: VirtualClock) -> None:
    broker: Any = app.broker
    await _jobs(app, clock)
    definitions = [define(entry) for entry in app.crons]
    await broker.register_crons(app.name, version_of(definitions), definitions, ttl=86_400)
    await broker.record_ticks(_ticks("shop.close_the_books", "reports", 86_400))
    await broker.record_ticks(_ticks("shop.export_orders", "exports", 1_800))
    for name, slots, running in WORKERS:
        queues = ("exports", "reports") if name.startswith("batch") else tuple(queue for queue, _, _ in TASKS)
        worker = WorkerInfo(
            id=name, queues=queues, concurrency=slots, running=running, hostname=name.rpartition("-")[0],
            pid=int(name.rpartition("-")[2]), started_at=NOW - 15_000, app=app.name,
            runs=first_runs(_runs(running)), stuck=int(running > 6), memory=96 * 2**20, loop_lag=0.004, version="0.5.0",
        )  # fmt: skip
        await broker.heartbeat(worker, ttl=86_400)
    counts = [count for queue, task, rate in TASKS for count in _counts(queue, task, rate)]
    for number, start in enumerate(range(0, len(counts), 100), 1):
        await broker.add_counts(counts[start : start + 100], reporter="scene", number=number)


def _runs(number: int) -> Iterator[RunInfo]:
    """Yield runs, of which the oldest is stuck if they are many."""
    for n in range(number):
        yield RunInfo(
            job_id=f"charge_card-{n:02}", queue="payments", task="shop.charge_card", attempt=1,
            since=NOW - 400 / (n + 1), stuck=number > 6 and not n,
        )  # fmt: skip


async def _jobs(app: Aarq, clock: VirtualClock) -> None:
    """Store jobs in several states: some complete, some fail, some are retried, the rest wait."""
    tasks: dict[str, Any] = {name: app.tasks[name] for _, name, _ in TASKS}
    for number in range(12):
        for name, task in tasks.items():
            await task.options(job_id=f"{name[5:]}-{number:02}").enqueue(f"order {4711 + number}")
            await clock.advance(3)
    broker: Any = app.broker
    request = ClaimRequest(
        worker_id="web-1-4711", queues=("default", "payments", "images"), limit=20, lease=86_400.0, request_id="scene"
    )
    claim = await broker.claim(request)
    await clock.advance(8)
    await broker.settle([_outcome(lease, place) for place, lease in enumerate(claim.leases[:-4])])
    await broker.pause_queue("images", note="the provider is down", by="ada")
    await clock.advance(NOW - clock.time())


def _outcome(lease: Lease, place: int) -> Completed | Failed | Retried:
    refused = Failure("CardRefused", "the bank does not answer", place="shop.payments:charge_card")
    if lease.task == "shop.charge_card" and place % 2:
        return Failed(lease=lease, failure=refused, retain_for=KEPT)
    if lease.task == "shop.charge_card":
        return Retried(lease=lease, delay=1_800.0, failure=refused)
    return Completed(lease=lease, result=b"null", retain_for=KEPT)


def _ticks(name: str, queue: str, every: int) -> list[TickRecord]:
    chance = random.Random(name)
    last = NOW // every * every + (9_000 if every == 86_400 else 0)
    last -= every if last > NOW else 0
    records: list[TickRecord] = []
    for place in range(60, -1, -1):
        record = TickRecord(name=name, queue=queue, tick=last - place * every, status=TickStatus.OK)
        if chance.random() < 0.04:
            records.append(replace(record, status=TickStatus.MISSED))
            continue
        fired = record.tick + 10 ** chance.uniform(-2.5, -0.5)
        status = TickStatus.FAILED if chance.random() < 0.05 else TickStatus.OK
        error = "TimeoutError: the ledger is locked" if status is TickStatus.FAILED else ""
        records.append(
            replace(record, status=status, fired_at=fired, finished_at=fired + 4, worker_id="batch-1-2290", error=error)
        )
    return records


def _counts(queue: str, task: str, rate: int) -> list[Count]:
    """Return the counts of three hours: a rate that swings, and failures for a quarter of an hour."""
    chance = random.Random(task)
    now = period_of(NOW, Step.MINUTE)
    found: list[Count] = []
    for place in range(180):
        count = round(rate * (1 + 0.3 * chance.random() + (place % 60) / 120))
        waits = tuple(count // 4 if 2 <= bucket <= 4 else 0 for bucket in range(len(BUCKETS) + 1))
        common = {"queue": queue, "task": task, "start": now - 60 * place}
        found.append(Count(outcome=JobOutcome.ENQUEUED, count=count, **common))  # type: ignore[arg-type]
        found.append(
            Count(outcome=JobOutcome.COMPLETED, count=count, wait=0.1 * count, waits=waits, durations=waits, **common)  # type: ignore[arg-type]
        )
        if queue == "payments" and 20 < place < 36:
            found.append(Count(outcome=JobOutcome.FAILED, count=9 - abs(place - 28), **common))  # type: ignore[arg-type]
    return found
