"""How a blocked event loop is noticed and logged."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aioq import Aarq
from aioq.handle import current_job
from aioq.worker.loop_monitor import Culprit, LoopMonitor, find_culprit
from tests.core.rig import lease, threads, until, working


@pytest.fixture
def anyio_backend() -> str:
    """These threads run on asyncio only."""
    return "asyncio"


def culprit_during(block: Callable[[Callable[[], None]], Any]) -> Culprit:
    """Run `block` in a loop, and return the culprit that another thread finds when `block` calls its argument."""
    found: list[Culprit] = []

    async def main() -> None:
        loop, ident = asyncio.get_running_loop(), threading.get_ident()

        def look() -> None:
            thread = threading.Thread(target=lambda: found.append(find_culprit(loop, ident)))
            thread.start()
            thread.join()

        await block(look)

    asyncio.run(main())
    return found[0]


async def test_loop_monitor_blocked_loop_logs_job_and_stack(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """A block is logged once, one to two seconds after its start, and again when it is over."""
    times: list[float] = []

    @app.task(name="heavy")
    async def heavy(_: object) -> None:
        times.append(time.time())
        time.sleep(2.5)  # noqa: ASYNC251  # the very point

    async with working(app):
        job = await heavy.enqueue()
        await job.result(timeout=10)
        await until(lambda: "runs again" in caplog.text)
    blocked, over = [record for record in caplog.records if "event loop" in record.getMessage()]
    assert f"by job {job.id} of heavy" in blocked.getMessage()
    assert f"job {job.id} of heavy blocked it for 2." in over.getMessage()
    assert (blocked.levelno, blocked.job_id) == (logging.WARNING, job.id)  # type: ignore[attr-defined]
    assert blocked.stack_info is not None
    assert "time.sleep(2.5)" in blocked.stack_info
    assert 1 <= blocked.created - times[0] < 2
    assert blocked.getMessage().isprintable()


async def test_loop_monitor_slow_job_without_block_logs_nothing(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """A job that takes long without blocking is not logged, and no thread is left at the end."""

    @app.task
    async def polite(_: object) -> None:
        for _ in range(16):
            time.sleep(0.1)  # noqa: ASYNC251  # less than what counts
            await anyio.lowlevel.checkpoint()

    async with working(app):
        await (await polite.enqueue()).result(timeout=10)
        assert "aioq loop monitor" in threads()
    assert caplog.messages == []
    assert threads() == []


async def test_take_lag_returns_longest_silence_once() -> None:
    """The lag is the time for which the loop did not answer a probe, and begins anew when it is taken."""
    monitor = LoopMonitor()
    assert monitor.take_lag() is None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor.run)
        await anyio.lowlevel.checkpoint()
        with anyio.fail_after(30):
            for n in count():
                # Of different lengths: else each probe may come at the end of one.
                time.sleep(0.2 + n % 5 * 0.03)  # noqa: ASYNC251  # the very point
                await anyio.lowlevel.checkpoint()
                if (monitor.take_lag() or 0.0) > 0.05:
                    break
        tasks.cancel_scope.cancel()


def test_culprit_task_started_by_job_names_job() -> None:
    """A task that a job started is found as this job."""

    async def block(look: Callable[[], None]) -> None:
        async def part() -> None:
            look()

        current_job.set(lease("j1"))
        await asyncio.create_task(part(), name="part")

    culprit = culprit_during(block)
    assert str(culprit) == "job j1 of t"
    assert ", in part\n" in culprit.stack


def test_culprit_callback_of_job_names_job() -> None:
    """A callback, which runs in no task, is found as the job in whose context it was scheduled."""

    async def block(look: Callable[[], None]) -> None:
        done = asyncio.Event()

        def callback() -> None:
            look()
            done.set()

        current_job.set(lease("j1"))
        asyncio.get_running_loop().call_soon(callback)
        await done.wait()

    assert str(culprit_during(block)) == "job j1 of t"


def test_culprit_outside_jobs_names_task() -> None:
    """Code of no job, such as a cron's, is found by the name of its task, which cannot break the log line."""

    async def block(look: Callable[[], None]) -> None:
        async def cron() -> None:
            look()

        await asyncio.create_task(cron(), name="cron\nx")

    assert str(culprit_during(block)) == "the task cron\\nx"


def test_culprit_callback_outside_jobs_says_so() -> None:
    """A callback outside every job and task is reported as such."""

    async def block(look: Callable[[], None]) -> None:
        done = asyncio.Event()

        def callback() -> None:
            look()
            done.set()

        asyncio.get_running_loop().call_soon(callback, context=contextvars.Context())
        await done.wait()

    assert str(culprit_during(block)) == "a callback that belongs to no job"
