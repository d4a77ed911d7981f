"""`aioq cron run`: fire an entry now."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, cast

import anyio
import pytest

from aioq import Aarq, CronContext
from aioq.cli.cron.manual import ManualRun, time_between_ticks
from aioq.model.cron import TickReason, TickRecord, TickStatus
from aioq.protocols import Broker, TickLedger
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON, FarBroker

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
"""The same on a broker with a worker, for as long as somebody waits for a job."""

FAILED = "job {job_id} failed: ValueError: who is that?"


@pytest.fixture(autouse=True)
def _ada(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives the commands."""
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")


def history(project: Project, name: str) -> list[TickRecord]:
    """Return what is recorded of an entry."""
    records: list[TickRecord] = project.do(lambda: project.ledger.tick_history(project.app.crons[name].key))
    return records


def test_a_cron_is_called_here_as_a_worker_would(project: Project) -> None:
    """With its arguments, within the lifespan, and with a context of the moment; what it returns is shown."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.report")
    opened, called, closed, told = outcome.out.splitlines()
    assert (outcome.code, opened, closed) == (0, "opened", "closed")
    assert called.startswith("db=a pool cron_name=tasks.report scheduled_at=2026-01-05 12:00:00")
    assert called.endswith(" worker_id=by-hand-ada@laptop Ada 2")
    assert re.fullmatch(r"tasks.report returned {'sent': 2} after \d.\d\d s", told)


def test_the_ledger_knows_that_it_was_by_hand(project: Project) -> None:
    """The run is recorded, with who made it."""
    project.write("tasks.py", TASKS)
    project.aioq("cron", "run", "tasks:app", "tasks.report")
    (record,) = history(project, "tasks.report")
    assert (record.status, record.reason, record.worker_id) == (TickStatus.OK, "by hand", "by-hand-ada@laptop")
    assert record.fired_at is not None
    assert record.finished_at is not None
    assert NOON <= record.tick <= record.fired_at <= record.finished_at < NOON + 5


def test_a_plain_function_that_returns_nothing_has_ended(project: Project) -> None:
    """A `def` runs in a thread; None is not worth showing."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.quiet")
    assert outcome.code == 0
    assert re.fullmatch(r"tasks.quiet ended after \d.\d\d s", outcome.out.splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("tasks.broken", "ValueError: no paper"),
        ("tasks.leaving", "SystemExit: 3"),
        ("tasks.slow", "TimeoutError: it did not end within its timeout of 0.01 s"),
    ],
)
def test_a_failure_is_shown_with_its_traceback(project: Project, name: str, error: str) -> None:
    """The last line says it all, the exit code is 1, and the ledger has the error."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", name)
    assert outcome.code == 1
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    last = outcome.err.splitlines()[-1]
    assert re.fullmatch(rf"aioq: {name} failed after \d.\d\d s: {re.escape(error)}", last)
    (record,) = history(project, name)
    assert (record.status, record.error) == (TickStatus.FAILED, error)


@pytest.mark.parametrize(
    ("name", "code", "told"),
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
def test_programs_are_told_in_json(project: Project, name: str, code: int, told: dict[str, Any]) -> None:
    """What became of it; what the function prints comes before that."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", name, "--json")
    assert outcome.code == code
    assert json.loads(outcome.out[outcome.out.index("{\n") :]) == {"name": name, **told}


def test_a_ledger_that_does_not_answer_does_not_stop_the_run(project: Project) -> None:
    """The function is called all the same; that it is not recorded is said."""
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
        "aioq: the ledger does not know that tasks.quiet is fired: connection lost",
        "aioq: the ledger does not know that tasks.quiet is ok: connection lost",
    ]


def test_a_cron_runs_on_the_memory_broker_too(project: Project) -> None:
    """Nothing of another process is needed for it."""
    project.write("tasks.py", TASKS.replace("FarBroker(), ", ""))
    assert project.aioq("cron", "run", "tasks:app", "tasks.quiet").code == 0


def test_a_schedule_enqueues_its_job(project: Project) -> None:
    """The job has the id of the moment, and waits for a worker; the ledger has it."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.remind")
    job_id = f"cron:tasks.remind:{NOON * 1000:.0f}"
    assert outcome == (0, f"tasks.remind is job {job_id} in queue mails\n", "")
    (record,) = history(project, "tasks.remind")
    assert (record.status, record.job_id, record.reason) == (TickStatus.FIRED, job_id, "by hand")
    job = project.do(lambda: project.app.tasks["tasks.remind"].job(job_id).state())
    assert job == "pending"


def test_its_id_is_not_that_of_a_tick(project: Project) -> None:
    """At the very moment of a tick another millisecond is taken, and the tick keeps its job."""
    project.write("tasks.py", TASKS)
    entry = project.app.crons["tasks.remind"]
    nine = datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert time_between_ticks(entry, nine) == nine.replace(microsecond=1000)
    assert time_between_ticks(entry, nine.replace(microsecond=5678)) == nine.replace(microsecond=5000)


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("tasks.remind", 0, {"status": "ok", "returned": "'reminded Ada'", "error": ""}),
        ("wrong", 1, {"status": "failed", "returned": None, "error": FAILED}),
    ],
)
def test_what_became_of_a_job_is_told_in_json(project: Project, name: str, code: int, told: dict[str, Any]) -> None:
    """With `--wait`: its result, or the error, which stderr has as well; the exit code says which."""
    project.write("tasks.py", WORKED)
    outcome = project.aioq("cron", "run", "tasks:app", name, "--wait", "--json")
    job_id = f"cron:{name}:{NOON * 1000:.0f}"
    facts = {"name": name, "queue": "mails", "job_id": job_id}
    error = told["error"].format(job_id=job_id)
    assert outcome.code == code
    assert json.loads(outcome.out) == {**facts, **told, "error": error}
    assert outcome.err == (f"aioq: {error}\n" if error else "")


def test_on_error_is_not_called(project: Project) -> None:
    """The error is shown to whoever gave the command; nobody else is told of it."""
    text = TASKS.replace(
        """    @app.cron("0 9 * * *")
    async def broken""",
        """    def tell(ctx, error):
        print("somebody was told")

    @app.cron("0 9 * * *", on_error=tell)
    async def broken""",
    )
    project.write("tasks.py", text)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.broken")
    assert (outcome.code, outcome.out) == (1, "opened\nclosed\n")


def test_wait_is_for_schedules(project: Project) -> None:
    """A cron is waited for in any case."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.report", "--wait")
    assert outcome == (
        2, "",
        "aioq: cron run: --wait is for schedules; tasks.report is a cron, and is waited for in any case\n",
    )  # fmt: skip


def test_on_the_memory_broker_a_job_would_reach_nobody(project: Project) -> None:
    """It says so, and what to do, and enqueues nothing."""
    project.write("tasks.py", TASKS.replace("FarBroker(), ", ""))
    outcome = project.aioq("cron", "run", "tasks:app", "tasks.remind")
    assert outcome == (
        78,
        "",
        (
            "aioq: cron run: tasks.remind is a schedule, and the app is on the embedded memory broker: jobs enqueued "
            "from here reach no worker; set AIOQ_BROKER_URL, or write Aarq(broker=...)\n"
        ),
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no Ctrl-C to send")
@pytest.mark.parametrize(
    "body", ["async def beat(ctx): tell(); await anyio.sleep(100)", "def beat(ctx): tell(); time.sleep(100)"]
)
def test_ctrl_c_ends_it_at_once(project: Project, body: str) -> None:
    """Also while a plain `def`, which nobody can cancel, holds its thread."""
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


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_interrupted_run_is_in_the_ledger() -> None:
    """It has an end there: it does not stay `fired` for ever."""
    app = Aarq(cast("Broker", FarBroker()))
    began = anyio.Event()

    @app.cron("0 9 * * *", name="long")
    async def long(ctx: CronContext) -> None:
        began.set()
        await anyio.sleep_forever()

    hand = ManualRun(app, app.crons["long"], reason=TickReason.BY_HAND)
    async with hand.ready(), anyio.create_task_group() as tg:
        tg.start_soon(hand.fire, hand.now())
        await began.wait()
        tg.cancel_scope.cancel()
    assert isinstance(app.broker, TickLedger)
    (record,) = await app.broker.tick_history(app.crons["long"].key)
    assert (record.status, record.error) == (TickStatus.FAILED, "interrupted")
