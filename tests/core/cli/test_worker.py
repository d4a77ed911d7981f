"""`aioq worker`, in this process and on the embedded broker: what it does with its arguments."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from aioq.cli.logs import configure
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


def test_a_burst_runs_what_is_there_and_ends(project: Project) -> None:
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
def test_only_the_named_queues_are_consumed(project: Project, argv: list[str], ran: str) -> None:
    """`-q` may be repeated, is served in the order given, and leaves all other queues alone."""
    project.write("tasks.py", TASKS)
    assert project.aioq("worker", "tasks:app", "--burst", *argv).out == ran


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_event_loop_may_be_chosen(project: Project, loop: str) -> None:
    """`--loop` says which event loop the tasks run on."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    project.write(
        "tasks.py",
        TASKS.replace('print("greet", name)', "import asyncio; print(type(asyncio.get_running_loop()).__module__)"),
    )
    outcome = project.aioq("worker", "tasks:app", "--burst", "-q", "default", "--loop", loop)
    assert (outcome.code, outcome.out.strip().partition(".")[0]) == (0, loop)


def test_uvloop_that_is_missing_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--loop uvloop` without uvloop says what to install."""
    project.write("tasks.py", TASKS)
    monkeypatch.setitem(sys.modules, "uvloop", None)
    outcome = project.aioq("worker", "tasks:app", "--loop", "uvloop")
    assert outcome == (78, "", 'aioq: uvloop is not installed; run: pip install "aioq-core[uvloop]"\n')


def test_the_memory_broker_gets_a_warning(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that no other process can reach says so, in one line."""
    project.write("tasks.py", TASKS)
    project.aioq("worker", "tasks:app", "--burst")
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.name == "aioq.cli"
    assert "the app is on the embedded memory broker" in warning.message


@pytest.mark.parametrize(
    ("text", "argv", "said"),
    [
        (TASKS, ["-q", "mial"], "no task or cron of the app is on queue mial (its queues: default, mail)"),
        ("from aioq import Aarq\napp = Aarq()", [], "the app has no tasks and no crons"),
    ],
)
def test_what_is_probably_a_mistake_gets_a_warning(
    project: Project, caplog: pytest.LogCaptureFixture, text: str, argv: list[str], said: str
) -> None:
    """A queue that nothing uses, and an app without tasks, are warned of."""
    project.write("tasks.py", text)
    assert project.aioq("worker", "tasks:app", "--burst", *argv).code == 0
    assert any(said in record.message for record in caplog.records if record.name == "aioq.cli")


@pytest.mark.parametrize(("error", "code"), [("BrokerUnavailable", 69), ("BrokerConfigError", 78), ("AioqError", 1)])
def test_a_broker_that_fails_at_the_start_is_one_line(project: Project, error: str, code: int) -> None:
    """A broker that does not answer gives exit code 69, one that never will 78; without a traceback."""
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


@contextmanager
def bare_root() -> Generator[logging.Logger]:
    """The root logger as a program finds it at its start, without the handlers that pytest gives it."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    logging.getLogger("aioq").setLevel(logging.NOTSET)
    try:
        yield root
    finally:
        root.handlers = handlers


def test_log_lines_are_as_documented(capsys: pytest.CaptureFixture[str]) -> None:
    """A line has date, level, logger and text, on stderr; passwords in URLs are masked."""
    with bare_root():
        configure("info")
        logging.getLogger("aioq.worker").error("Cron task %s failed: %s", "tasks.report", "redis://u:pw@host refused")
        logging.getLogger("myapp").info("from the app")
        logging.getLogger("myapp").debug("too much")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.sub(r"\d", "0", captured.err).splitlines() == [
        "0000-00-00 00:00:00 ERROR aioq.worker: Cron task tasks.report failed: redis://u:***@host refused",
        "0000-00-00 00:00:00 INFO myapp: from the app",
    ]


def test_an_app_that_has_set_up_logging_keeps_its_own() -> None:
    """Handlers and levels of the app stay as they are, unless a level is asked for."""
    handler = logging.NullHandler()
    with bare_root() as root:
        root.addHandler(handler)
        root.setLevel(logging.ERROR)
        configure(None)
        assert (root.handlers, root.level) == ([handler], logging.ERROR)
        assert logging.getLogger("aioq").level == logging.INFO
        configure("debug")
        assert (root.handlers, root.level) == ([handler], logging.DEBUG)
