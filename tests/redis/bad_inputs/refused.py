"""What is refused where it is said, so that nothing of it ever gets into Redis."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aioq import (
    Aarq,
    DuplicateName,
    JobConflict,
    JobState,
    PayloadTooLarge,
    SerializationError,
    TaskOptions,
    Worker,
)
from aioq.model.cron import TickOutcome
from aioq_cron import InvalidCronExpression
from aioq_redis import RedisBroker
from tests.redis.bad_inputs.bench import Bench
from tests.redis.tick_helpers import KEY, bid, entry

__all__ = [
    "bad_expressions", "bad_moments", "bad_names", "bad_numbers", "bad_options", "bad_queues", "duplicates",
    "odd_values", "same_entry", "too_large",
]  # fmt: skip


async def echo(bench: Bench, value: Any) -> Any:
    """Return what a task returns that returns its argument, which has no annotation."""
    job = await bench.app.tasks["echo"].enqueue(value)
    return await job.result(timeout=5)


async def refused(bench: Bench, value: Any, text: str) -> None:
    """Insist that an argument is refused by the path to it, and that nothing is stored."""
    before = bench.keys()
    with pytest.raises(SerializationError, match=text):
        await bench.app.tasks["echo"].enqueue(value)
    assert bench.keys() == before


async def odd_values(bench: Bench) -> None:
    """Make the trip where an annotation says how; be refused with the path where none does."""
    for value in (b"bytes", datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.5"), {1, 2}):
        await refused(bench, {"x": [value]}, r"^echo: argument value\['x'\]\[0\]: ")

    async def typed(_: object, a: bytes, b: datetime, c: Decimal, d: set[int]) -> bool:
        return (a, b, c, d) == (b"\xff", datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.5"), {1, 2})

    task = bench.app.task(name="typed")(typed)
    job = await task.enqueue(b"\xff", datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.5"), {1, 2})
    assert await job.result(timeout=5) is True


async def bad_numbers(bench: Bench) -> None:
    """NaN and infinity are refused; whole numbers of any size come back as they were."""
    for number in (math.nan, math.inf, -math.inf, float("1e400")):
        await refused(bench, {"x": number}, r"value\['x'\]: .* has no JSON form")
    for number in (2**63, -(2**63) - 1, 2**64 + 1, 10**40):
        assert await echo(bench, number) == number


async def too_large(bench: Bench) -> None:
    """Be refused before anything is written."""
    before = bench.keys()
    with pytest.raises(PayloadTooLarge, match="a call of echo takes 10,000,"):
        await bench.app.tasks["echo"].enqueue("x" * 10_000_000)
    assert bench.keys() == before


async def bad_moments(bench: Bench) -> None:
    """Be refused by name; 0, the past and the hour that a clock change leaves out are due at once."""
    options: Callable[..., Any] = bench.app.tasks["echo"].options
    for wrong, text in (
        ({"defer_by": -1}, "defer_by must be between 0"),
        ({"defer_by": 1e12}, "defer_by must be between 0"),
        ({"defer_by": timedelta(days=3653)}, "defer_by must be between 0"),
        ({"defer_until": datetime(2026, 1, 1)}, "defer_until must be aware"),
        ({"defer_until": datetime.now(UTC) + timedelta(days=3653)}, "more than 10 years away"),
    ):
        with pytest.raises(ValueError, match=text):
            options(**wrong)
    gap = datetime(2025, 3, 30, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    for fine in ({"defer_by": 0}, {"defer_until": gap}):
        job = await options(**fine).enqueue(1)
        assert await job.result(timeout=5) == 1


async def bad_expressions(bench: Bench) -> None:
    """Be refused where the decorator stands, and register nothing."""
    for expression in ("* * * *", "61 * * * *", "0 0 31 2 *", "0 0 0 * * *", "", "@often", "* * * * *; FLUSHALL"):
        with pytest.raises(InvalidCronExpression):
            bench.app.cron(expression)(_nothing)
    assert len(bench.app.crons) == 0


async def same_entry(bench: Bench) -> None:
    """Be refused within an app; after a deploy the new expression counts, and no tick fires twice."""
    app = Aarq(bench.broker)
    app.cron("0 0 1 1 *", name="once")(_nothing)
    with pytest.raises(DuplicateName, match="once is defined twice"):
        app.cron("0 0 1 1 *", name="once")(_nothing_else)
    broker, tick = bench.broker, await bench.broker.time()
    await broker.register_crons("app", "1", [entry(fingerprint="old")], ttl=60)
    tick = await broker.time() + 0.5
    assert (await broker.claim_tick(bid(tick, fingerprint="old"))).outcome is TickOutcome.WON
    await broker.register_crons("app", "2", [entry(fingerprint="new", expression="*/2 * * * *")], ttl=60)
    status = await broker.cron_status(KEY)
    assert status is not None
    assert status.definition.expression == "*/2 * * * *"
    for fingerprint, outcome in (("old", TickOutcome.SUPERSEDED), ("new", TickOutcome.LOST)):
        assert (await broker.claim_tick(bid(tick, worker="w2", fingerprint=fingerprint))).outcome is outcome


async def bad_names(bench: Bench) -> None:
    """Be refused by name, as a task's and as a job's."""
    for name in ("a\r\nb", "\x1b[31m", "{}", "a\x00b", "*", "🦆", "x" * 10_000):
        with pytest.raises(ValueError, match="^job_id .* is not of the form") as caught:
            bench.app.tasks["echo"].options(job_id=name)
        assert str(caught.value).isprintable()
        with pytest.raises(ValueError, match="^name .* is not of the form") as caught:
            bench.app.task(name=name)(_nothing)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 200


async def bad_queues(bench: Bench) -> None:
    """Be refused at construction: of a task, a worker, a cron entry, and as a namespace."""
    makers: list[Callable[[str], object]] = [
        lambda name: TaskOptions(queue=name),
        lambda name: Worker(bench.app, queues=[name]),
        lambda name: bench.app.cron("0 0 1 1 *", queue=name)(_nothing),
        lambda name: RedisBroker(namespace=name),
    ]
    for make in makers:
        for name in ("../x", "a:b", "{}", "", "x" * 65, "a b", "a\n"):
            with pytest.raises(ValueError, match=r"(^|: )(queue|namespace) .* is not of the form \[A-Za-z0-9_.-\]"):
                make(name)


async def bad_options(bench: Bench) -> None:
    """Be refused with the name of the field."""
    for field in ("priority", "retries", "timeout", "retry_delay", "result_ttl", "max_crashes"):
        for value in (-1, 1e12, 10**12) if field != "timeout" else (-1, 0, 1e12):
            with pytest.raises((ValueError, TypeError), match=f"^{field} must be"):
                TaskOptions(**{field: value})  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="^priority must be between 0 and 9"):
        bench.app.tasks["echo"].options(priority=10)


async def duplicates(bench: Bench) -> None:
    """The same call makes one job; another under its id is a conflict, and nothing is written."""
    task = bench.app.tasks["echo"].options(job_id="mine", defer_by=600)
    first, second = await task.enqueue(1), await task.enqueue(1)
    assert first.id == second.id == "mine"
    with pytest.raises(JobConflict, match="job id mine is taken in queue default"):
        await task.enqueue(2)
    assert [record.id for record in await bench.broker.list_jobs("default", JobState.SCHEDULED)] == ["mine"]
    with pytest.raises(JobConflict):
        await bench.app.tasks["work"].options(job_id="mine").enqueue(x=1)


async def _nothing(ctx: object) -> None: ...


async def _nothing_else(ctx: object) -> None: ...
