"""On a terminal `aioq worker` keeps one line with its figures below its log; elsewhere it writes lines of the log only."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import anyio
import pytest

from aioq import Aarq, Worker
from aioq.cli.live_line import LiveLine, line_text, live_handler
from aioq.cli.log_format import JsonFormatter
from aioq.cli.log_handler import CLEAR, BackgroundHandler
from tests.core.cli.terminal import environment_with, read

TASKS = """
    from contextlib import asynccontextmanager
    from aioq import Aarq

    @asynccontextmanager
    async def lifespan(app):
        await app.enqueue_many([work.call(n) for n in range(40)])
        yield

    app = Aarq(lifespan=lifespan)

    @app.task
    async def work(ctx, n: int) -> None:
        if n == 7:
            raise ValueError("no seven")
"""

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]+ ")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def on_terminal(folder: Path, *argv: str, until: str, **environment: str) -> str:
    """Return what a worker writes to a terminal until that matches a pattern and it was stopped."""
    (folder / "tasks.py").write_text(dedent(TASKS))
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "aioq", "worker", "tasks:app", *argv]
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=terminal,
        env=environment_with(**environment),
    )  # fmt: skip
    os.close(terminal)
    seen, stopped = "", False
    try:
        for data in read(main):
            seen += data.decode()
            if not stopped and re.search(until, seen):
                stopped = True
                process.send_signal(signal.SIGTERM)
                assert process.stdin is not None
                process.stdin.close()  # what stops the process of a supervisor
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(main)
    return seen.replace("\r\n", "\n")


def screen(written: str) -> list[str]:
    """Return the lines that stand on the terminal in the end."""
    return [line.rpartition(CLEAR)[2] for line in written.split("\n")]


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["color", "NO_COLOR"])
def test_terminal_shows_live_line_that_log_lines_do_not_tear(tmp_path: Path, environment: dict[str, str]) -> None:
    """The line shows the figures, every line of the log stands alone, and nothing of the live line is left."""
    failed = "1 failed" if environment else "\x1b[31m1 failed\x1b[0m"
    figures = rf"0 running \| 39 done \| {re.escape(failed)} \| [\d.]+/s \| 0 waiting"
    written = on_terminal(tmp_path, until=figures, **environment)
    assert ("\x1b[31m" in written) is not bool(environment)
    *lines, last = screen(written)
    assert last == ""
    assert not [line for line in lines if " running | " in line]
    ended = [line for line in lines if "aioq.worker: job " in line]
    assert len(ended) == 40
    assert all(LOG_LINE.match(line) for line in ended)


@pytest.mark.parametrize(
    ("argv", "environment"), [((), {"TERM": "dumb"}), (("--child", "1"), {})], ids=["dumb terminal", "supervised"]
)
def test_dumb_terminal_and_supervised_process_show_no_live_line(
    tmp_path: Path, argv: tuple[str, ...], environment: dict[str, str]
) -> None:
    """A terminal that cannot clear a line, and one that several processes share, get lines of the log only."""
    written = on_terminal(tmp_path, *argv, until="no seven", **environment)
    assert "\x1b" not in written
    assert " running | " not in written


@pytest.fixture
def root_handler(monkeypatch: pytest.MonkeyPatch) -> BackgroundHandler:
    """The handler of `aioq worker`, as the only one of the root logger."""
    handler = BackgroundHandler(Terminal())
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    return handler


def test_live_handler_needs_a_terminal_and_text(root_handler: BackgroundHandler) -> None:
    """A pipe, a terminal without a name, lines of JSON, and an app with handlers of its own have no live line."""
    xterm = {"TERM": "xterm"}
    assert live_handler(Terminal(), xterm) is root_handler
    assert live_handler(io.StringIO(), xterm) is None
    assert live_handler(Terminal(), {}) is None
    root_handler.setFormatter(JsonFormatter())
    assert live_handler(Terminal(), xterm) is None
    logging.getLogger().handlers = [logging.StreamHandler(Terminal())]
    assert live_handler(Terminal(), xterm) is None


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (80, "1,234 running | 9,999,999 done | 12 failed | 1,034.5/s | 3 waiting"),
        (30, "1,234 running | 9,999,999 don"),
        (0, ""),
    ],
)
def test_line_is_cut_to_the_width_of_the_terminal(width: int, text: str) -> None:
    """A line that is longer would wrap, and only a part of it could be cleared."""
    shown = line_text(running=1234, done=9_999_999, failed=12, rate=1034.5, waiting=3, width=width, color=False)
    assert shown == text


def test_line_without_figures_of_the_broker_has_no_waiting_jobs() -> None:
    """During an outage the number of waiting jobs is not known; no failures are not red."""
    shown = line_text(running=0, done=1, failed=0, rate=0.0, waiting=None, width=80, color=True)
    assert shown == "0 running | 1 done | 0 failed | 0.0/s"


async def test_live_line_replaces_the_summaries_of_minutes(app: Aarq) -> None:
    """With a live line minutes are not summed up in the log, and its end removes the line."""
    stream = Terminal()
    handler = BackgroundHandler(stream)
    worker = Worker(app, queues=["default"], handle_signals=False)
    async with anyio.create_task_group() as tg:
        tg.start_soon(LiveLine(worker, handler, {}).run)
        with anyio.fail_after(60):
            while "0 running | " not in stream.getvalue():
                await anyio.sleep(0.01)
        tg.cancel_scope.cancel()
    assert not worker.summary.each_minute
    handler.close()
    assert stream.getvalue().endswith(CLEAR)


def test_log_lines_stand_above_the_live_line() -> None:
    """The line is cleared before records are written, and written again after them."""
    stream = Terminal()
    handler = BackgroundHandler(stream)
    handler.show_line("line 1")
    handler.handle(logging.LogRecord("test", logging.INFO, __file__, 1, "record", None, None))
    handler.flush()
    handler.show_line("line 2")
    handler.close()
    assert screen(stream.getvalue()) == ["record", ""]
    assert "record\nline" in stream.getvalue()
