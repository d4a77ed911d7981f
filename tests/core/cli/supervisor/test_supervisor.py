"""Running, restarting and killing worker processes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from aioq.cli.supervisor import Supervisor, supervisor


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, as the command does."""
    return "asyncio"


async def test_supervisor_kills_processes_after_timeout(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that ignores orders is killed after its grace and a timeout; the exit code is 1."""
    monkeypatch.setattr(supervisor, "SHUTDOWN_TIMEOUT", 0.05)
    ignoring = [sys.executable, "-c", "import time; time.sleep(60)"]
    workers = Supervisor([ignoring, ignoring], grace=0.05)
    codes: list[int] = []

    async def run() -> None:
        codes.append(await workers.run())

    with caplog.at_level(logging.INFO, "aioq.supervisor"), anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            tg.start_soon(run)
            while len(caplog.records) < 2:
                await anyio.sleep(0.01)
            workers.stop()
    assert codes == [1]
    assert sum("killed worker process" in record.getMessage() for record in caplog.records) == 2


async def test_supervisor_retries_failed_fork(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failed fork stops no other process, and is retried after a delay."""
    start, errors = anyio.open_process, [BlockingIOError(11, "Resource temporarily unavailable")]

    async def open_process(command: Sequence[str], **options: Any) -> Process:
        if command[-1] == "second" and errors:
            raise errors.pop()
        return await start(command, **options)

    monkeypatch.setattr(anyio, "open_process", open_process)
    waiting = [sys.executable, "-c", "import sys; sys.stdin.read(1)"]
    workers = Supervisor([[*waiting, "first"], [*waiting, "second"]], grace=5)
    with caplog.at_level(logging.INFO, "aioq.supervisor"), anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            tg.start_soon(workers.run)
            while sum(" started (pid " in message for message in caplog.messages) < 2:
                await anyio.sleep(0.01)
            workers.stop()
    assert "could not start worker process 2: [Errno 11] Resource temporarily unavailable" in caplog.messages
    assert "restarting worker process 2 in 0.25 s" in caplog.messages
    assert sum("ended with exit code 0" in message for message in caplog.messages) == 2
