"""`aioq stats`, `aioq tasks list` and the flow in `aioq queues list`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from aioq.model.job import NewJob
from aioq.model.statistics import Count, JobOutcome, bucket_of
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON, FarBroker
from tests.servers import RedisServer

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())

    @app.task(queue="mails", name="shop.send")
    async def send(ctx) -> None: ...

    @app.task(name="shop.resize")
    async def resize(ctx) -> None: ...
"""
UNCOUNTED = TASKS.replace("FarBroker())", "Uncounted())").replace(
    "    app =", "    class Uncounted(FarBroker):\n        add_counts = read_counts = None\n\n    app ="
)


def histogram(seconds: float, number: int) -> tuple[int, ...]:
    """Return a histogram of equal values."""
    return tuple(number if place == bucket_of(seconds) else 0 for place in range(12))


def counted(task: str, outcome: JobOutcome, count: int, ago: float = 60, **changes: Any) -> Count:
    """Return the count of a minute: jobs that waited 1.5 s and ran 50 ms."""
    fields: dict[str, Any] = {
        "queue": "mails", "wait": 1.5 * count, "duration": 0.05 * count,
        "waits": histogram(1.5, count), "durations": histogram(0.05, count), **changes,
    }  # fmt: skip
    return Count(task=task, outcome=outcome, start=int(NOON - ago) // 60 * 60, count=count, **fields)


@pytest.fixture
def broker(project: Project) -> FarBroker:
    """The broker of the app in `tasks.py`, which has counted jobs of two tasks, one of which the code lacks."""
    project.write("tasks.py", TASKS)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    counts = [
        counted("shop.send", JobOutcome.ENQUEUED, 400),
        counted("shop.send", JobOutcome.COMPLETED, 300),
        counted("shop.send", JobOutcome.COMPLETED, 100, ago=1_800),
        counted("shop.send", JobOutcome.DEAD, 5),
        counted("shop.send", JobOutcome.RETRIED, 7),
        counted("shop.old\x1b[31m", JobOutcome.COMPLETED, 1, ago=3_600),
        counted("shop.old", JobOutcome.FAILED, 20),
        counted("shop.ancient", JobOutcome.FAILED, 20, ago=90_000),
    ]
    project.do(lambda: broker.near.add_counts(counts, reporter="r", number=1))
    return broker


def test_stats_shows_totals_and_tasks(project: Project, broker: FarBroker) -> None:
    """Outcomes and percentiles of the latest hours, rates of the latest minutes, and a character for each minute."""
    lines = project.aioq("stats", "tasks:app").out.splitlines()
    assert lines[:2] == [
        "2026-01-05 12:00+00:00, the latest 2 hours: 400 enqueued, 401 completed, 7 retried, 20 failed, 5 dead",
        "a minute, of the latest 5: 80.0 entered, 65.0 ended",
    ]
    assert lines[2].startswith("wait: p50 1.")
    assert lines[4] == "ended in each of the latest 60 minutes, at most 325:"
    assert lines[5] == "▁" + " " * 29 + "▃" + " " * 28 + "█"
    assert [line.split()[:6] for line in lines[7:]] == [
        ["TASK", "QUEUE", "DONE", "FAILED", "RETRIED", "A"],
        ["shop.send", "mails", "400", "5", "7", "61.0"],
        ["shop.old", "mails", "0", "20", "0", "4.0"],
        [r"shop.old\x1b[31m", "mails", "1", "0", "0", "0.0"],
    ]


def test_stats_json_has_units(project: Project, broker: FarBroker) -> None:
    """Durations are seconds, whatever the filters leave."""
    outcome = project.aioq("stats", "tasks:app", "--task", "shop.send", "--hours", "1", "--json")
    told = json.loads(outcome.out)
    assert told["at"] == "2026-01-05T12:00:00+00:00"
    assert [one["task"] for one in told["tasks"]] == ["shop.send"]
    assert told["ended_by_minute"][-1] == 305
    # The running hour has just begun.
    assert (told["total"]["completed"], told["total"]["wait_p50_seconds"]) == (0, None)
    told = json.loads(project.aioq("stats", "tasks:app", "--task", "shop.send", "--json").out)
    first = json.loads(project.aioq("stats", "tasks:app", "-n", "1", "--json").out)["tasks"]
    assert [one["task"] for one in first] == ["shop.send"]
    assert told["total"]["mean_run_seconds"] == pytest.approx(0.05)
    assert 0.02 < told["total"]["run_p95_seconds"] <= 0.1


@pytest.mark.parametrize(
    ("options", "text"),
    [(["--hours", "0"], "--hours must be between 1 and 720"), (["-q", "a b"], "a b"), (["-n", "0"], "-n must be")],
)
def test_stats_bad_options_are_rejected(project: Project, broker: FarBroker, options: list[str], text: str) -> None:
    """An option that no count can have is an error."""
    outcome = project.aioq("stats", "tasks:app", *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert text in outcome.err


def test_stats_need_counts(project: Project) -> None:
    """A broker that counts nothing is named."""
    project.write("tasks.py", UNCOUNTED)
    outcome = project.aioq("stats", "tasks:app")
    assert outcome.code == 78
    assert "aioq.protocols.Statistics" in outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no Ctrl-C to send")
@pytest.mark.parametrize("as_json", [True, False])
def test_stats_watch_goes_on_until_ctrl_c(project: Project, redis_server: RedisServer, *, as_json: bool) -> None:
    """Into a pipe it writes one text, or one line of JSON, after the other."""
    command = [sys.executable, "-m", "aioq", "stats", redis_server.url, "--watch", *(["--json"] if as_json else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: list[str] = []
        while sum("2 hours" in line or '"hours": 2' in line for line in lines) < 2:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    assert "\x1b" not in "".join(lines)
    if as_json:
        assert [json.loads(line)["hours"] for line in lines] == [2, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_stats_watch_draws_over_the_last_text(project: Project, redis_server: RedisServer) -> None:
    """On a terminal each text begins in the top left corner, and clears what is below."""
    import pty

    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    command = [sys.executable, "-m", "aioq", "stats", redis_server.url, "--watch"]
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        seen = b""
        while seen.count(b"\x1b[H") < 2 or not seen.endswith(b"\x1b[J"):
            seen += os.read(leader, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    os.close(leader)
    assert b"nothing was counted\x1b[K" in seen


def test_tasks_list_shows_code_counts_and_stops(project: Project, broker: FarBroker) -> None:
    """Tasks of the code come with those that were counted; stopped ones and those that the code lacks are marked."""
    project.do(lambda: broker.near.stop_task("shop.resize", queue="default", note="bug \x1b[31m", by="ada"))
    lines = [line.split() for line in project.aioq("tasks", "list", "tasks:app").out.splitlines()]
    assert lines == [
        ["TASK", "QUEUE", "DONE", "FAILED", "RETRIED", "MEAN", "P95", "NOTE"],
        ["shop.old", "mails", "0", "20", "0", "50", "ms", "96", "ms", "not", "in", "the", "code"],
        [r"shop.old\x1b[31m", "mails", "1", "0", "0", "50", "ms", "96", "ms", "not", "in", "the", "code"],
        ["shop.resize", "default", "0", "0", "0", "-", "-", "stopped", "by", "ada:", "bug", r"\x1b[31m"],
        ["shop.send", "mails", "400", "5", "7", "50", "ms", "96", "ms"],
    ]
    told = json.loads(project.aioq("tasks", "list", "tasks:app", "-q", "default", "--json").out)
    assert [(one["task"], one["in_code"], one["stopped"]["by"]) for one in told] == [("shop.resize", True, "ada")]
    older = json.loads(project.aioq("tasks", "list", "tasks:app", "--hours", "48", "--json").out)
    assert "shop.ancient" in [one["task"] for one in older]


def test_tasks_list_without_counts_shows_the_code(project: Project) -> None:
    """The tasks are shown, and stderr says what is missing; so it is with the memory broker of another process."""
    for text in (UNCOUNTED, TASKS.replace("Aarq(FarBroker())", "Aarq()")):
        project.write("tasks.py", text)
        outcome = project.aioq("tasks", "list", "tasks:app")
        assert outcome.code == 0
        assert [line.split()[0] for line in outcome.out.splitlines()] == ["TASK", "shop.resize", "shop.send"]
        assert "keeps no counts" in outcome.err


def test_queues_list_shows_how_jobs_flow(project: Project, broker: FarBroker) -> None:
    """For how long the next job has been due, how many jobs end a minute, and how long 95 % wait at most."""
    near = broker.near
    jobs = [
        NewJob(id=id, queue="mails", task="shop.send", payload=b"", delay=delay) for id, delay in (("a", 0), ("b", 900))
    ]
    project.do(lambda: near.enqueue(jobs))
    project.do(lambda: near.pause_queue("mails", note="no server", by="ada"))
    project.do(lambda: broker.clock.advance(200))
    outcome = project.aioq("queues", "list", "tasks:app")
    assert [line.split() for line in outcome.out.splitlines()[:3]] == [
        ["QUEUE", "PENDING", "SCHEDULED", "RUNNING", "DEAD", "OLDEST", "A", "MINUTE", "P95", "WAIT"],
        ["default", "0", "0", "0", "0", "-", "0.0", "-"],
        ["mails", "1", "1", "0", "0", "3", "min", "65.0", "1.93", "s"],
    ]
    assert outcome.out.splitlines()[3] == "queue mails is paused by ada at 2026-01-05 12:00+00:00: no server"
    assert max(map(len, outcome.out.splitlines()[:3])) <= 80
    told = json.loads(project.aioq("queues", "list", "tasks:app", "--json").out)
    assert [(one["queue"], one["oldest_seconds"]) for one in told] == [("default", None), ("mails", 200.0)]
    assert told[1]["flow"]["dead"] == 5
    assert told[1]["paused"] == {"by": "ada", "since": "2026-01-05T12:00:00+00:00", "note": "no server"}


def test_queues_list_without_counts_shows_the_rest(project: Project) -> None:
    """The columns of the counts are empty, and stderr says why."""
    project.write("tasks.py", UNCOUNTED)
    outcome = project.aioq("queues", "list", "tasks:app")
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].split() == ["default", "0", "0", "0", "0", "-"]
    assert "keeps no counts" in outcome.err
