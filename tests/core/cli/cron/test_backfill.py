"""`aioq cron backfill`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest

from aioq.model.cron import TickStatus
from tests.core.cli.conftest import Project

TASKS = """
    from contextlib import asynccontextmanager
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker(), tz="Europe/Berlin")

    @app.cron("0 9 * * 1-5")
    async def report(ctx):
        print(ctx["scheduled_at"].isoformat())
        if ctx["scheduled_at"].day == 7:
            raise ValueError("no paper")

    @app.cron("* * * * *")
    async def beat(ctx): ...

    @app.task
    async def remind(ctx, name: str): ...

    app.schedule(remind, "0 9 * * 1-5", args=("Ada",))
"""

WEEK = ("--from", "2025-01-06", "--to", "2025-01-10T09:00")


def backfill(name: str, *options: str) -> tuple[str, ...]:
    """Return the arguments of the command."""
    return ("cron", "backfill", "tasks:app", name, *options)


def test_backfill_cron_calls_function_for_each_tick_in_order(project: Project) -> None:
    """Both ends are included, and times without an offset are in the entry's zone."""
    project.write("tasks.py", TASKS.replace("day == 7", "day == 0"))
    outcome = project.aioq(*backfill("tasks.report", *WEEK))
    assert (outcome.code, outcome.err) == (0, "")
    first, *ticks, last = outcome.out.splitlines()
    assert first == "tasks.report from 2025-01-06 00:00+01:00 to 2025-01-10 09:00+01:00, in Europe/Berlin: 5 ticks"
    assert ticks == [f"2025-01-{day:02}T09:00:00+01:00" for day in (6, 7, 8, 9, 10)]
    assert last == "5 ok"


def test_backfill_failed_tick_does_not_stop_the_others(project: Project) -> None:
    """The command prints the failure at once, and exits with 1 at the end."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq(*backfill("tasks.report", *WEEK))
    assert outcome.code == 1
    assert outcome.err == "aioq: 2025-01-07 09:00+01:00 failed: ValueError: no paper\n"
    assert outcome.out.splitlines()[-1] == "4 ok, 1 failed"
    records = project.history("tasks.report")
    assert [record.status.value for record in records] == ["ok", "ok", "ok", "failed", "ok"]
    assert {record.reason for record in records} == {"backfill"}


def test_backfill_schedule_enqueues_missing_jobs(project: Project) -> None:
    """A tick has one job, however often it is backfilled; the summary counts those that existed."""
    project.write("tasks.py", TASKS)
    days = ("--from", "2025-01-06", "--to", "2025-01-08")
    assert project.aioq(*backfill("tasks.remind", *days)).out.splitlines()[-1] == "2 enqueued"
    outcome = project.aioq(*backfill("tasks.remind", *WEEK))
    assert (outcome.code, outcome.out.splitlines()[-1]) == (0, "3 enqueued, 2 already enqueued")
    (stats,) = project.do(project.app.broker.queue_stats)  # type: ignore[attr-defined]
    assert stats.pending == 5
    assert [record.status for record in project.history("tasks.remind")] == [TickStatus.FIRED] * 5


def test_backfill_job_with_other_arguments_fails_its_tick(project: Project) -> None:
    """If a tick already has a job with other arguments, that tick fails and the others do not."""
    project.write("tasks.py", TASKS)
    project.aioq(*backfill("tasks.remind", "--from", "2025-01-07", "--to", "2025-01-08"))
    project.app.crons._by_name.clear()
    project.app.schedule(project.app.tasks["tasks.remind"], "0 9 * * 1-5", args=("Grace",), tz="Europe/Berlin")
    outcome = project.aioq(*backfill("tasks.remind", *WEEK))
    assert (outcome.code, outcome.out.splitlines()[-1]) == (1, "4 enqueued, 1 failed")
    assert outcome.err == (
        "aioq: 2025-01-07 09:00+01:00 failed: job cron:tasks.remind:1736236800000 exists with another task "
        "or other arguments\n"
    )


def test_backfill_dry_run_shows_ticks_and_records(project: Project) -> None:
    """A dry run fires nothing."""
    project.write("tasks.py", TASKS)
    project.record("tasks.report", 1736236800.0, TickStatus.MISSED, reason="broker away")
    outcome = project.aioq(*backfill("tasks.report", *WEEK, "--dry-run"))
    assert outcome == (
        0,
        (
            "Europe/Berlin               RECORDED\n"
            "Mon 2025-01-06 09:00+01:00\n"
            "Tue 2025-01-07 09:00+01:00  missed broker away\n"
            "Wed 2025-01-08 09:00+01:00\n"
            "Thu 2025-01-09 09:00+01:00\n"
            "Fri 2025-01-10 09:00+01:00\n"
            "5 ticks of tasks.report would fire; this was a dry run\n"
        ),
        "",
    )
    assert len(project.history("tasks.report")) == 1


@pytest.mark.parametrize("name", ["tasks.report", "tasks.remind"])
def test_backfill_notes_who_and_why(project: Project, name: str) -> None:
    """The change log has the span; a dry run changes nothing."""
    project.write("tasks.py", TASKS)
    project.aioq(*backfill(name, *WEEK), "--dry-run", "--by", "bob")
    project.aioq(*backfill(name, *WEEK), "--by", "bob", "--note", "the server was down")
    (change,) = project.do(project.app.broker.list_changes)  # type: ignore[attr-defined]
    assert (change.by, change.subject, change.note) == ("bob", f"cron default {name}", "the server was down")
    assert re.fullmatch(r"backfill 5 ticks from 202\S+ \S+ to 202\S+ \S+, in \S+", change.what)


def test_backfill_without_ticks_succeeds(project: Project) -> None:
    """If no tick is between the two times, the command says so and exits with 0."""
    project.write("tasks.py", TASKS)
    days = ("--from", "2025-01-11", "--to", "2025-01-12")
    assert project.aioq(*backfill("tasks.report", *days, "--dry-run")).out == (
        "0 ticks of tasks.report would fire; this was a dry run\n"
    )
    outcome = project.aioq(*backfill("tasks.report", *days))
    assert (outcome.code, outcome.out.splitlines()[-1]) == (0, "no ticks")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--from", "monday", "--to", "2025-01-01"],
            ("cron backfill: --from: 'monday' is not a time in ISO 8601; write one like 2026-03-29T02:30 or "
            "2026-03-29T00:30Z"),
        ),
        (
            ["--from", "2025-01-02", "--to", "2025-01-01T12:00Z"],
            "cron backfill: --from 2025-01-02 00:00+01:00 is after --to 2025-01-01 13:00+01:00",
        ),
        (
            ["--from", "2025-01-01", "--to", "2025-03-01"],
            ("cron backfill: tasks.beat has more than 10,000 ticks from 2025-01-01 00:00+01:00 to "
            "2025-03-01 00:00+01:00; the 10,000th is 2025-01-07 22:39+01:00: use several commands, the first up to there"),
        ),
    ],
)  # fmt: skip
def test_backfill_invalid_times_are_rejected(project: Project, options: list[str], text: str) -> None:
    """The command exits with one line and fires nothing."""
    project.write("tasks.py", TASKS)
    assert project.aioq(*backfill("tasks.beat", *options)) == (2, "", f"aioq: {text}\n")


def test_backfill_without_end_is_rejected(project: Project) -> None:
    """The line names the missing option and the help."""
    outcome = project.aioq("cron", "backfill", "tasks:app", "tasks.beat", "--from", "2025-01-01")
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(r"aioq: cron backfill: .*--to; see aioq cron backfill --help\n", outcome.err)


def test_backfill_future_is_rejected(project: Project) -> None:
    """Future ticks fire by themselves."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq(*backfill("tasks.beat", "--from", "2025-01-01", "--to", "2300-01-01"))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(
        "aioq: cron backfill: --to 2300-01-01 00:00+01:00 is in the future, and it is 20"
    )  # fmt: skip
    assert outcome.err.endswith("; future ticks fire by themselves\n")


def test_backfill_json_has_result_of_each_tick(project: Project) -> None:
    """`--json` prints the result of each tick; with `--dry-run` its record."""
    project.write("tasks.py", TASKS)
    day = ("--from", "2025-01-07", "--to", "2025-01-08", "--json")
    assert json.loads(project.aioq(*backfill("tasks.remind", *day, "--dry-run")).out) == [
        {"tick": "2025-01-07T09:00:00+01:00", "recorded": None}
    ]
    assert json.loads(project.aioq(*backfill("tasks.remind", *day)).out) == [
        {
            "tick": "2025-01-07T09:00:00+01:00",
            "status": "enqueued",
            "error": "",
            "job_id": "cron:tasks.remind:1736236800000",
        }
    ]
    assert json.loads(project.aioq(*backfill("tasks.remind", *day, "--dry-run")).out) == [
        {"tick": "2025-01-07T09:00:00+01:00", "recorded": "fired"}
    ]


def test_backfill_memory_broker_rejects_schedules(project: Project) -> None:
    """Workers cannot see jobs in the memory of this process; functions of crons are called nevertheless."""
    project.write("tasks.py", TASKS.replace("FarBroker(), ", ""))
    outcome = project.aioq(*backfill("tasks.remind", *WEEK))
    assert outcome == (
        78,
        "",
        (
            "aioq: cron backfill: tasks.remind is a schedule, and the app uses the memory broker: a worker cannot see jobs "
            "that this process enqueues; set AIOQ_BROKER_URL, or write Aarq(broker=...)\n"
        ),
    )
    assert project.aioq(*backfill("tasks.report", *WEEK)).out.splitlines()[-1] == "4 ok, 1 failed"


def test_backfill_broker_down_prints_progress_and_reason(project: Project) -> None:
    """The command prints how many ticks are done, and then the error."""
    text = """
    from aioq import BrokerUnavailable

    class Leaving(FarBroker):
        async def enqueue(self, jobs):
            raise BrokerUnavailable("connection lost")

    app = Aarq(Leaving()"""
    project.write("tasks.py", TASKS.replace("\n    app = Aarq(FarBroker()", text))
    outcome = project.aioq(*backfill("tasks.remind", *WEEK))
    assert outcome.code == 69
    assert outcome.err == "aioq: interrupted: no ticks, 5 not finished\naioq: connection lost\n"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no Ctrl-C to send")
def test_backfill_ctrl_c_prints_progress(project: Project) -> None:
    """The user learns how many ticks are left to backfill."""
    text = """
        import anyio
        from aioq import Aarq

        app = Aarq()

        @app.cron("0 9 * * *")
        async def report(ctx):
            if ctx["scheduled_at"].day == 8:
                print("began", flush=True)
                await anyio.sleep_forever()
        """
    project.write("tasks.py", text)
    command = [sys.executable, "-m", "aioq", *backfill("tasks.report", *WEEK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().endswith(": 5 ticks\n")
        assert process.stdout.readline() == "began\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err == "aioq: interrupted: 2 ok, 3 not finished\n"
