"""`aioq cron run`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from aioq.model.cron import TickStatus
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON

pytestmark = pytest.mark.usefixtures("ada")

TASKS = """
    from contextlib import asynccontextmanager
    import time
    import anyio
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    @asynccontextmanager
    async def lifespan(app):
        print("opened")
        yield {"db": "a pool"}
        print("closed")

    app = Aarq(FarBroker(), lifespan=lifespan)

    @app.cron("0 9 * * *", args=("Ada",), kwargs={"times": 2})
    async def report(ctx, name, times):
        print(*(f"{key}={ctx[key]}" for key in ("db", "cron_name", "scheduled_at", "worker_id")), name, times)
        assert ctx["broker"] is app.broker
        assert 0 <= (ctx["fired_at"] - ctx["scheduled_at"]).total_seconds() < 5
        return {"sent": 2}

    @app.cron("0 9 * * *")
    def quiet(ctx): ...

    @app.cron("0 9 * * *")
    async def broken(ctx):
        raise ValueError("no paper")

    @app.cron("0 9 * * *")
    async def leaving(ctx):
        raise SystemExit(3)

    @app.cron("0 9 * * *", timeout=0.01)
    async def slow(ctx):
        await anyio.sleep_forever()

    @app.task(queue="mails")
    async def remind(ctx, name: str) -> str:
        if name == "Mallory":
            raise ValueError("who is that?")
        return f"reminded {name}"

    app.schedule(remind, "0 9 * * *", args=("Ada",))
    app.schedule(remind, "0 9 * * *", args=("Mallory",), name="wrong")
"""


WORKED = TASKS.replace(
    "\n    app = Aarq(FarBroker(), lifespan=lifespan)",
    """
    from aioq import Worker

    class Manned(FarBroker):
        async def wait_for_result(self, *args, **kwargs):
            async with anyio.create_task_group() as tg:
                worker = Worker(app, handle_signals=False)
                tg.start_soon(worker.run)
                ended = await self.near.wait_for_result(*args, **kwargs)
                worker.stop()
            return ended

    app = Aarq(Manned())""",
)
"""The same on a broker that runs a worker while a client waits for a job."""

FAILED = "job {job_id} failed: ValueError: who is that?"


def test_run_cron_calls_function_like_a_worker(project: Project) -> None:
    """The function gets its arguments, the lifespan's values and a context; the command prints what it returns."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.report")
    opened, called, closed, expected = outcome.out.splitlines()
    assert (outcome.code, opened, closed) == (0, "opened", "closed")
    assert called.startswith("db=a pool cron_name=tasks.report scheduled_at=2026-01-05 12:00:00")
    assert called.endswith(" worker_id=by-hand-ada@laptop Ada 2")
    assert re.fullmatch(r"tasks.report returned {'sent': 2} after \d.\d\d s", expected)


def test_run_cron_is_recorded_as_by_hand(project: Project) -> None:
    """The record has the user."""
    project.write("tasks.py", TASKS)
    project.aioq("cron", "run", "tasks:app", "tasks.report")
    (record,) = project.history("tasks.report")
    assert (record.status, record.reason, record.worker_id) == (TickStatus.OK, "by hand", "by-hand-ada@laptop")
    assert record.fired_at is not None
    assert record.finished_at is not None
    assert NOON <= record.tick <= record.fired_at <= record.finished_at < NOON + 5


@pytest.mark.parametrize(("name", "queue"), [("tasks.report", "default"), ("tasks.remind", "mails")])
def test_run_notes_who_and_why(project: Project, name: str, queue: str) -> None:
    """The change log has the run of a cron and of a schedule, and the record of the tick has the person."""
    project.write("tasks.py", TASKS)
    project.aioq("cron", "run", "tasks:app", name, "--by", "bob", "--note", "asked by mail")
    (change,) = project.do(project.app.broker.list_changes)  # type: ignore[attr-defined]
    assert (change.by, change.what, change.note) == ("bob", "run", "asked by mail")
    assert change.subject == f"cron {queue} {name}"


def test_run_plain_function_returning_none_has_ended(project: Project) -> None:
    """A `def` runs in a thread, and None is not printed."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.quiet")
    assert outcome.code == 0
    assert re.fullmatch(r"tasks.quiet ended after \d.\d\d s", outcome.out.splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("tasks.broken", "ValueError: no paper"),
        ("tasks.leaving", "SystemExit: 3"),
        ("tasks.slow", "TimeoutError: timed out after 0.01 s"),
    ],
)
def test_run_failed_cron_prints_traceback(project: Project, name: str, error: str) -> None:
    """The last line has the error, the exit code is 1, and the ledger has the error. A timeout has no traceback."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", name)
    assert outcome.code == 1
    assert outcome.err.startswith("Traceback (most recent call last):\n") is (name != "tasks.slow")
    last = outcome.err.splitlines()[-1]
    assert re.fullmatch(rf"aioq: {name} failed after \d.\d\d s: {re.escape(error)}", last)
    (record,) = project.history(name)
    assert (record.status, record.error) == (TickStatus.FAILED, error)


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("tasks.report", 0, {"queue": "default", "status": "ok", "job_id": None, "returned": "{'sent': 2}", "error": ""}),
        ("tasks.quiet", 0, {"queue": "default", "status": "ok", "job_id": None, "returned": None, "error": ""}),
        (
            "tasks.broken", 1,
            {"queue": "default", "status": "failed", "job_id": None, "returned": None, "error": "ValueError: no paper"},
        ),
        (
            "tasks.remind", 0,
            {"queue": "mails", "status": "enqueued", "job_id": f"cron:tasks.remind:{NOON * 1000:.0f}", "returned": None,
             "error": ""},
        ),
    ],
)  # fmt: skip
def test_run_json_has_result(project: Project, name: str, code: int, expected: dict[str, Any]) -> None:
    """The output of the function comes before the JSON."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", name, "--json")
    assert outcome.code == code
    assert json.loads(outcome.out[outcome.out.index("{\n") :]) == {"name": name, **expected}


def test_run_cron_goes_on_if_ledger_is_down(project: Project) -> None:
    """The function is called, and stderr says that the run is not recorded."""
    text = """
    from aioq import BrokerUnavailable

    class Deaf(FarBroker):
        async def record_ticks(self, records):
            raise BrokerUnavailable("connection lost")

    app = Aarq(Deaf()"""
    project.write("tasks.py", TASKS.replace("\n    app = Aarq(FarBroker()", text))
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.quiet")
    assert outcome.code == 0
    assert outcome.err.splitlines() == [
        "aioq: could not record that tasks.quiet is fired: connection lost",
        "aioq: could not record that tasks.quiet is ok: connection lost",
    ]


def test_run_cron_works_on_memory_broker(project: Project) -> None:
    """Running a function needs no other process."""
    project.write("tasks.py", TASKS.replace("FarBroker(), ", ""))
    assert project.aioq("cron", "run", "tasks:app", "tasks.quiet").code == 0


def test_run_schedule_enqueues_job(project: Project) -> None:
    """The job has an id of the current time, is pending, and is in the ledger."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.remind")
    job_id = f"cron:tasks.remind:{NOON * 1000:.0f}"
    assert outcome == (0, f"tasks.remind is job {job_id} in queue mails\n", "")
    (record,) = project.history("tasks.remind")
    assert (record.status, record.job_id, record.reason) == (TickStatus.FIRED, job_id, "by hand")
    job = project.do(lambda: project.app.tasks["tasks.remind"].job(job_id).state())
    assert job == "pending"


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("tasks.remind", 0, {"status": "ok", "returned": "'reminded Ada'", "error": ""}),
        ("wrong", 1, {"status": "failed", "returned": None, "error": FAILED}),
    ],
)
def test_run_wait_json_has_result_of_job(project: Project, name: str, code: int, expected: dict[str, Any]) -> None:
    """`--wait` prints the result or the error, and the exit code says which."""
    project.write("tasks.py", WORKED)
    outcome = project.aioq("cron", "run", "tasks:app", name, "--wait", "--json")
    job_id = f"cron:{name}:{NOON * 1000:.0f}"
    facts = {"name": name, "queue": "mails", "job_id": job_id}
    error = expected["error"].format(job_id=job_id)
    assert outcome.code == code
    assert json.loads(outcome.out) == {**facts, **expected, "error": error}
    assert outcome.err == (f"aioq: {error}\n" if error else "")


def test_run_failed_cron_does_not_call_on_error(project: Project) -> None:
    """The user who ran the command sees the error."""
    text = TASKS.replace(
        """    @app.cron("0 9 * * *")
    async def broken""",
        """    def tell(ctx, error):
        print("on_error was called")

    @app.cron("0 9 * * *", on_error=tell)
    async def broken""",
    )
    project.write("tasks.py", text)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.broken")
    assert (outcome.code, outcome.out) == (1, "opened\nclosed\n")


def test_run_wait_is_rejected_for_crons(project: Project) -> None:
    """The command waits for the function of a cron in any case."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.report", "--wait")
    assert outcome == (
        2, "",
        "aioq: cron run: --wait is for schedules; tasks.report is a cron, and the command always waits for its function\n",
    )  # fmt: skip


def test_run_memory_broker_rejects_schedules(project: Project) -> None:
    """The command enqueues nothing, and says what to do."""
    project.write("tasks.py", TASKS.replace("FarBroker(), ", ""))
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.remind")
    assert outcome == (
        78,
        "",
        (
            "aioq: cron run: tasks.remind is a schedule, and the app uses the memory broker: a worker cannot see jobs that "
            "this process enqueues; set AIOQ_BROKER_URL, or write Aarq(broker=...)\n"
        ),
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no Ctrl-C to send")
@pytest.mark.parametrize(
    "body", ["async def beat(ctx): tell(); await anyio.sleep(100)", "def beat(ctx): tell(); time.sleep(100)"]
)
def test_run_ctrl_c_exits_at_once(project: Project, body: str) -> None:
    """The command exits even if a thread, which cannot be cancelled, runs the function."""
    text = f"""
        import time
        import anyio
        from aioq import Aarq

        app = Aarq()

        def tell():
            print("began", flush=True)

        {body}
        app.cron("0 9 * * *")(beat)
        """
    project.write("tasks.py", text)
    command = [sys.executable, "-m", "aioq", "cron", "run", "tasks:app", "tasks.beat"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "began\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
