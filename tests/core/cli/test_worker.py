"""The arguments of `aioq worker`, in this process and on the memory broker."""

from __future__ import annotations

import logging
import sys

import pytest

from tests.core.cli.conftest import Project

TASKS = """
    from contextlib import asynccontextmanager
    from aioq import Aarq

    @asynccontextmanager
    async def lifespan(app):
        await app.enqueue_many([greet.call("Ada"), post.call("Grace")])
        yield

    app = Aarq(lifespan=lifespan)

    @app.task
    async def greet(ctx, name: str) -> None:
        print("greet", name)

    @app.task(queue="mail")
    async def post(ctx, name: str) -> None:
        print("post", name)
"""


def test_worker_burst_runs_due_jobs_and_exits(project: Project) -> None:
    """`--burst` runs the jobs that are due, and exits with 0."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("worker", "tasks:app", "--burst")
    assert (outcome.code, sorted(outcome.out.splitlines())) == (0, ["greet Ada", "post Grace"])


@pytest.mark.parametrize(
    ("argv", "ran"),
    [
        (["-q", "mail"], "post Grace\n"),
        (["-q", "mail", "--queue", "default", "-c", "1"], "post Grace\ngreet Ada\n"),
        (["-q", "default", "-q", "mail", "-c", "1"], "greet Ada\npost Grace\n"),
    ],
)
def test_worker_queue_option_selects_queues(project: Project, argv: list[str], ran: str) -> None:
    """`-q` may be repeated, sets the order, and leaves out all other queues."""
    project.write("tasks.py", TASKS)
    assert project.aioq("worker", "tasks:app", "--burst", *argv).out == ran


def test_worker_queue_option_takes_weights(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """With weights all queues are served, whichever comes first; the log names them."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("worker", "tasks:app", "--burst", "-q", "mail=6", "-q", "default=1", "-c", "1")
    assert (outcome.code, sorted(outcome.out.splitlines())) == (0, ["greet Ada", "post Grace"])
    assert "started: queues mail=6, default=1, 1 at a time" in caplog.text


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["-q", "mail=6", "-q", "default"], "queue default has no weight, and others have one; write -q default=1"),
        (["-q", "mail=6", "-q", "mail=1"], "queue mail is given twice; give it one weight"),
        (["-q", "mail="], "the weight of queue mail must be a whole number, got ''"),
        (["-q", "mail=-1"], "the weight of queue mail must be a whole number, got '-1'"),
        (["-q", "mail=0"], "the weight of queue mail must be a whole number from 1 to 1,000, got 0"),
        (["-q", "mail=1001"], "the weight of queue mail must be a whole number from 1 to 1,000, got 1001"),
        (["-q", "=3"], "queue '' is not of the form [A-Za-z0-9_.-]{1,64}"),
    ],
)
def test_worker_rejects_weights(project: Project, argv: list[str], why: str) -> None:
    """The message names the queue, and what to write."""
    project.write("tasks.py", TASKS)
    assert project.aioq("worker", "tasks:app", *argv) == (2, "", f"aioq: worker: {why}\n")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_worker_loop_option_selects_event_loop(project: Project, loop: str) -> None:
    """`--loop` selects the event loop that runs the tasks."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    project.write(
        "tasks.py",
        TASKS.replace('print("greet", name)', "import asyncio; print(type(asyncio.get_running_loop()).__module__)"),
    )
    outcome = project.aioq("worker", "tasks:app", "--burst", "-q", "default", "--loop", loop)
    assert (outcome.code, outcome.out.strip().partition(".")[0]) == (0, loop)


def test_worker_missing_uvloop_says_what_to_install(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--loop uvloop` without uvloop prints the pip command."""
    project.write("tasks.py", TASKS)
    monkeypatch.setitem(sys.modules, "uvloop", None)
    outcome = project.aioq("worker", "tasks:app", "--loop", "uvloop")
    assert outcome == (78, "", 'aioq: uvloop is not installed; run: pip install "aioq-core[uvloop]"\n')


def test_worker_missing_watchfiles_says_what_to_install(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--reload` without watchfiles prints the pip command, and starts nothing."""
    project.write("tasks.py", TASKS)
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    outcome = project.aioq("worker", "tasks:app", "--reload")
    assert outcome == (78, "", 'aioq: watchfiles is not installed; run: pip install "aioq-core[reload]"\n')


def test_worker_memory_broker_logs_warning(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """No other process can reach the worker, and one line says so."""
    project.write("tasks.py", TASKS)
    project.aioq("worker", "tasks:app", "--burst")
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.name == "aioq.cli"
    assert "the app uses the memory broker" in warning.message


@pytest.mark.parametrize(
    ("text", "argv", "warning"),
    [
        (TASKS, ["-q", "mial"], "no task or cron of the app is on queue mial (its queues: default, mail)"),
        ("from aioq import Aarq\napp = Aarq()", [], "the app has no tasks and no crons"),
    ],
)
def test_worker_probable_mistake_logs_warning(
    project: Project, caplog: pytest.LogCaptureFixture, text: str, argv: list[str], warning: str
) -> None:
    """A queue without tasks and an app without tasks are probably mistakes."""
    project.write("tasks.py", text)
    assert project.aioq("worker", "tasks:app", "--burst", *argv).code == 0
    assert any(warning in record.message for record in caplog.records if record.name == "aioq.cli")


@pytest.mark.parametrize(("error", "code"), [("BrokerUnavailable", 69), ("BrokerConfigError", 78), ("AioqError", 1)])
def test_worker_broker_error_at_start_prints_one_line(project: Project, error: str, code: int) -> None:
    """The exit code depends on the error, and there is no traceback."""
    project.write(
        "tasks.py",
        f"""
        from aioq import Aarq, {error}
        from aioq.backends import MemoryBroker

        class Broker(MemoryBroker):
            async def connect(self):
                raise {error}("redis://me:secret@host:6379/0 says no")

        app = Aarq(Broker())
        """,
    )
    outcome = project.aioq("worker", "tasks:app")
    assert outcome[:2] == (code, "")
    assert outcome.err == "aioq: redis://me:***@host:6379/0 says no\n"


@pytest.mark.parametrize("count", ["0", "257"])
def test_worker_processes_out_of_range_is_rejected(project: Project, count: str) -> None:
    """The line has the limits."""
    outcome = project.aioq("worker", "tasks:app", "--processes", count)
    assert outcome == (2, "", f"aioq: worker: --processes must be between 1 and 256, got {count}\n")
