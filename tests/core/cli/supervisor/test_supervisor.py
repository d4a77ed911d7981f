"""What a supervisor makes of the end of a process, and how it starts another."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from aioq.cli.process import own_command_line
from aioq.cli.supervisor import Supervisor, supervisor
from aioq.cli.supervisor.restart_policy import Next, ProcessExit, exit_text, restart_delay, verdict
from tests.core.cli.conftest import Project


@pytest.mark.parametrize(
    ("death", "then"),
    [
        (ProcessExit(code=-signal.SIGKILL), Next.AGAIN),
        (ProcessExit(code=1), Next.AGAIN),
        (ProcessExit(code=69), Next.AGAIN),
        (ProcessExit(code=0), Next.AGAIN),
        (ProcessExit(code=0, burst=True), Next.DONE),
        (ProcessExit(code=-signal.SIGKILL, burst=True), Next.AGAIN),
        (ProcessExit(code=2), Next.GIVE_UP),
        (ProcessExit(code=78), Next.GIVE_UP),
        (ProcessExit(code=78, burst=True), Next.GIVE_UP),
        (ProcessExit(code=0, stopping=True), Next.DONE),
        (ProcessExit(code=-signal.SIGKILL, stopping=True), Next.DONE),
        (ProcessExit(code=78, stopping=True), Next.DONE),
    ],
    ids=str,
)
def test_the_end_of_a_process(death: ProcessExit, then: Next) -> None:
    """It is replaced unless it was to end, or would only end the same way again."""
    assert verdict(death) is then


def test_pauses_grow_to_a_limit() -> None:
    """The first start comes at once; the more deaths at once in a row, the longer the next waits, up to 30 s."""
    assert [restart_delay(deaths) for deaths in range(10)] == [0.0, 0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert restart_delay(1_000_000) == 30


@pytest.mark.parametrize(
    ("code", "said"),
    [(0, "ended with exit code 0"), (-9, "was killed by SIGKILL"), (-77, "was killed by signal 77")],
)
def test_how_a_process_ended_in_words(code: int, said: str) -> None:
    """Signals have their names, as far as they have one."""
    assert exit_text(code) == said


@pytest.mark.parametrize(
    ("started", "command"),
    [
        (["python", "-X", "dev", "-m", "aioq", "worker", "a:b"], ["-X", "dev", "-m", "aioq", "worker", "x"]),
        (["/venv/bin/python", "/venv/bin/aioq", "worker", "a:b"], ["/venv/bin/aioq", "worker", "x"]),
        (["python", "-m", "pytest"], ["-m", "aioq", "worker", "x"]),
        (["worker", "a:b"], ["-m", "aioq", "worker", "x"]),
    ],
)
def test_processes_are_started_as_the_command_was(
    monkeypatch: pytest.MonkeyPatch, started: list[str], command: list[str]
) -> None:
    """The same interpreter with the same options, and the same script or module; called from a program, the module."""
    monkeypatch.setattr(sys, "orig_argv", started)
    assert own_command_line(["worker", "a:b"], ["worker", "x"]) == [sys.executable, *command]


@pytest.mark.parametrize("count", ["0", "257"])
def test_the_number_of_processes_has_bounds(project: Project, count: str) -> None:
    """One line says which."""
    outcome = project.aioq("worker", "tasks:app", "--processes", count)
    assert outcome == (2, "", f"aioq: worker: processes must be between 1 and 256, got {count}\n")


async def test_what_does_not_end_in_time_is_killed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that hears no order holds up the end for the grace and a while, no longer; the exit code is 1."""
    monkeypatch.setattr(supervisor, "LAST_WORDS", 0.05)
    deaf = [sys.executable, "-c", "import time; time.sleep(60)"]
    several = Supervisor([deaf, deaf], grace=0.05)
    codes: list[int] = []

    async def run() -> None:
        codes.append(await several.run())

    with caplog.at_level(logging.INFO, "aioq.supervisor"), anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            tg.start_soon(run)
            while len(caplog.records) < 2:
                await anyio.sleep(0.01)
            several.stop()
    assert codes == [1]
    assert sum("did not end in time and was killed" in record.getMessage() for record in caplog.records) == 2


async def test_a_process_that_the_system_cannot_start_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fork that fails takes no other process down: it is a death like any, with a pause before the next start."""
    start, refusals = anyio.open_process, [BlockingIOError(11, "Resource temporarily unavailable")]

    async def scarce(command: Sequence[str], **options: Any) -> Process:
        if command[-1] == "second" and refusals:
            raise refusals.pop()
        return await start(command, **options)

    monkeypatch.setattr(anyio, "open_process", scarce)
    waiting = [sys.executable, "-c", "import sys; sys.stdin.read(1)"]
    several = Supervisor([[*waiting, "first"], [*waiting, "second"]], grace=5)
    with caplog.at_level(logging.INFO, "aioq.supervisor"), anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            tg.start_soon(several.run)
            while sum(" started (pid " in message for message in caplog.messages) < 2:
                await anyio.sleep(0.01)
            several.stop()
    refused = "worker process 2 could not be started: [Errno 11] Resource temporarily unavailable"
    assert refused in caplog.messages
    assert "worker process 2 is started again in 0.25 s" in caplog.messages
    assert sum("ended with exit code 0" in message for message in caplog.messages) == 2
