"""Bad inputs and what they get: the worker survives each of them, and runs the next job within a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aioq import Aarq, Worker
from aioq_redis import RedisBroker
from tests.redis.bad_inputs import foreign
from tests.redis.bad_inputs.bench import Bench
from tests.redis.bad_inputs.table import TABLE, Row


@pytest.fixture
async def bench(
    redis_url: str, raw: Any, namespace: str, caplog: pytest.LogCaptureFixture, tampered: list[bool]
) -> AsyncIterator[Bench]:
    """A worker at work on the queues `default` and `other`."""
    tampered.append(True)
    app = Aarq(RedisBroker(redis_url, namespace=namespace))
    bench = Bench(app, raw, namespace, redis_url, caplog)

    @app.task(name="work")
    async def work(_: object, x: int) -> None:
        bench.ran.append(str(x))

    @app.task(name="echo")
    async def echo(_: object, value: Any) -> Any:
        return value

    worker = Worker(app, queues=["default", "other"], handle_signals=False)
    async with app:
        running = asyncio.create_task(worker.run())
        with caplog.at_level(logging.DEBUG, "aioq"):
            yield bench
        assert not running.done()
        worker.stop()
        await running


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.number:02}-{row.feed.__name__}")
async def test_the_worker_survives(bench: Bench, row: Row, tmp_path: Path) -> None:
    """Each ends as the table says; the log stays sound, and the next job runs."""
    feed = partial(row.feed, canary=tmp_path / "canary") if row.feed is foreign.pickles else row.feed
    await feed(bench)
    await bench.next_job()
    bench.assert_log_is_sound()


def test_no_number_is_left_out() -> None:
    """Every input of the list is in the table."""
    assert {row.number for row in TABLE} == {*range(1, 31)}
