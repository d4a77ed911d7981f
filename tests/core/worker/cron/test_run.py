"""The tasks in which ticks are dealt with: whatever they raise ends them, and nothing else."""

from __future__ import annotations

import logging

import anyio
import pytest

from aioq.worker.cron.runs import CronTasks


async def test_cron_tasks_log_failed_task_and_become_idle(caplog: pytest.LogCaptureFixture) -> None:
    """A schedule that raises while its tick is looked at, for example."""
    tasks, release = CronTasks(), anyio.Event()

    async def breaks() -> None:
        await release.wait()
        raise ArithmeticError("no idea when")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            tasks.group = group
            tasks.start(breaks, "entry")
            tasks.start(release.wait, "other")
            release.set()
            await tasks.wait_idle()
    line = "cannot process a tick of cron task entry"
    assert caplog.record_tuples == [("aioq.worker", logging.ERROR, line)]
    assert "ArithmeticError: no idea when" in caplog.text


async def test_cron_tasks_without_task_are_idle() -> None:
    """Before the first task, and after the last."""
    tasks = CronTasks()
    with anyio.fail_after(5):
        await tasks.wait_idle()
