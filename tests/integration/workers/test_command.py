"""Other commands as a user runs them: in a process whose output is piped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.workers.processes import Program
from tests.servers import RedisServer

DOCUMENTED = """
from aioq import Aarq
from aioq.backends import RedisBroker

app = Aarq(broker=RedisBroker())


@app.cron("*/5 * * * *")             # every 5 minutes
async def cleanup_old_jobs(ctx):
    broker = ctx["broker"]
    # ... cleanup logic


@app.cron("0 9 * * 1-5", queue="reports")  # weekdays at 9 AM
async def send_daily_report(ctx):
    ...
    # ... report logic


@app.cron("0 0 1 * *")               # first day of every month
async def monthly_summary(ctx):
    ...
    # ... summary logic


@app.cron("* * * * *")
async def every_minute(ctx): ...
"""


def test_cron_list_shows_the_documented_example(tmp_path: Path) -> None:
    """`aioq cron list tasks:app` shows the crons of the documentation without a server."""
    (tmp_path / "tasks.py").write_text(DOCUMENTED)
    with Program("cron", "list", "tasks:app", folder=tmp_path) as program:
        assert program.wait() == 0
    entry = r"^(tasks\.\w+) +(\S+ \S+ \S+ \S+ \S+)  .*\n  queue (\w+) +UTC "
    names = re.findall(entry, program.text("out"), re.MULTILINE)
    assert names == [
        ("tasks.cleanup_old_jobs", "*/5 * * * *", "default"),
        ("tasks.send_daily_report", "0 9 * * 1-5", "reports"),
        ("tasks.monthly_summary", "0 0 1 * *", "default"),
        ("tasks.every_minute", "* * * * *", "default"),
    ]


def test_worker_without_server_prints_one_line(tmp_path: Path) -> None:
    """If no server answers, the worker prints one line without the password and exits with 69."""
    (tmp_path / "tasks.py").write_text("from aioq import Aarq\napp = Aarq()\n")
    environment = {"AIOQ_BROKER_URL": f"unix://me:hunter2@{tmp_path}/nobody.sock"}
    with Program("worker", "tasks:app", folder=tmp_path, environment=environment) as program:
        assert program.wait() == 69
    (said,) = [line for line in program.text().splitlines() if "aioq.cli: the app has no tasks" not in line]
    assert said.startswith("aioq: unix://me:***@")
    assert "hunter2" not in program.text()


def test_worker_with_wrong_password_prints_one_line(tmp_path: Path, start_server: Callable[..., RedisServer]) -> None:
    """If the server refuses the password, the worker prints one line without it and exits with 78."""
    server = start_server("--requirepass", "correct-horse", tcp=True)
    (tmp_path / "tasks.py").write_text("from aioq import Aarq\napp = Aarq()\n")
    environment = {"AIOQ_BROKER_URL": server.open_url.replace("://", "://:hunter2@")}
    with Program("worker", "tasks:app", folder=tmp_path, environment=environment) as program:
        assert program.wait() == 78
    assert len([line for line in program.text().splitlines() if line.startswith("aioq: redis://:***@")]) == 1
    assert "Traceback" not in program.text()
    assert "hunter2" not in program.text()


@pytest.mark.slow
def test_demo_prints_every_second_without_control_codes(tmp_path: Path) -> None:
    """`aioq demo` prints every second, sends no control codes into a pipe, and ends with a summary."""
    with Program("demo", "--seconds", "5", folder=tmp_path) as program:
        assert program.wait(timeout=30) == 0
    ticks = [line.at for line in program.lines if "  cron  tick  " in line.text]
    assert len(ticks) == 5
    assert ticks[-1] - ticks[0] > 3.5
    assert "\x1b" not in program.text("out")
    assert program.text() == ""
    assert max(len(line.text) for line in program.lines) <= 100
    for part in ("cleanup_old_jobs", "*/5 * * * *", "5 of 5 due", "jobs completed  5 of 5"):
        assert part in program.text("out")
