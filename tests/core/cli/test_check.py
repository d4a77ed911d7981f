"""`aioq check`: whether an app's crons fire, as an exit code."""

from __future__ import annotations

import json

import pytest

from aioq.model.cron import TickStatus
from aioq.model.job import WorkerInfo
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker(), tz="Europe/Berlin")

    @app.cron("0 * * * *", queue="reports", grace=300)
    async def report(ctx): ...

    @app.cron("*/30 * * * *")
    async def cleanup(ctx): ...

    @app.cron("0 * * * *", enabled=False)
    async def off(ctx): ...
"""

MINUTE = 60.0
OVERDUE = (
    "aioq: check: tasks.report is overdue: nothing is recorded of its tick of 2026-01-05 14:00+01:00, 7 min ago, and "
    "{seen}; is a worker for queue reports up?\n"
)


def let_pass(project: Project, seconds: float) -> None:
    """Move the broker's clock."""
    project.app.broker.clock.suspend(seconds)  # type: ignore[attr-defined]


def test_all_is_well(project: Project) -> None:
    """One line, exit code 0; what is disabled is counted, and so are the workers."""
    project.write("tasks.py", TASKS)
    project.register()
    worker = WorkerInfo(
        id="w", queues=("reports",), concurrency=1, running=0, hostname="h", pid=1, started_at=NOON
    )  # fmt: skip
    project.do(lambda: project.app.broker.heartbeat(worker, ttl=60))  # type: ignore[attr-defined]
    assert project.aioq("check", "tasks:app") == (0, "ok: none of 3 entries is overdue, 1 disabled; 1 worker up\n", "")


def test_an_entry_that_has_fallen_silent_is_exit_code_1(project: Project) -> None:
    """The line has the entry, the tick, how long ago that was, and what was seen last."""
    project.write("tasks.py", TASKS)
    project.register()
    let_pass(project, 67 * MINUTE)
    for tick in (NOON + 30 * MINUTE, NOON + 60 * MINUTE):
        project.record("tasks.cleanup", tick, TickStatus.OK, fired_at=tick, finished_at=tick)
    assert project.aioq("check", "tasks:app") == (1, "", OVERDUE.format(seen="it has none at all"))


def test_what_was_seen_last_is_told(project: Project) -> None:
    """An entry that fired until a while ago has a latest tick."""
    project.write("tasks.py", TASKS)
    project.register()
    let_pass(project, 67 * MINUTE)
    project.record("tasks.report", NOON, TickStatus.FAILED, fired_at=NOON, finished_at=NOON)
    project.record("tasks.cleanup", NOON + 60 * MINUTE, TickStatus.OK, fired_at=NOON, finished_at=NOON)
    seen = "its latest is failed at 2026-01-05 13:00+01:00"
    assert project.aioq("check", "tasks:app") == (1, "", OVERDUE.format(seen=seen))


def test_an_entry_has_its_grace(project: Project) -> None:
    """A tick is late, and not yet missed."""
    project.write("tasks.py", TASKS)
    project.register()
    let_pass(project, 64 * MINUTE)
    assert "tasks.report" not in project.aioq("check", "tasks:app").err


@pytest.mark.parametrize("what", ["paused", "retired"])
def test_who_may_not_fire_owes_nothing(project: Project, what: str) -> None:
    """A person, or a deploy, has stopped it."""
    project.write("tasks.py", TASKS)
    project.register()
    if what == "paused":
        cron = project.app.crons["tasks.report"].key
        project.do(lambda: project.ledger.pause_cron(cron, note="", by="ada"))
    else:
        project.register("tasks.cleanup", "tasks.off")
    let_pass(project, 67 * MINUTE)
    project.record("tasks.cleanup", NOON + 60 * MINUTE, TickStatus.OK, fired_at=NOON, finished_at=NOON)
    outcome = project.aioq("check", "tasks:app")
    assert outcome.code == 0
    assert outcome.out == f"ok: none of 3 entries is overdue, 1 {what}, 1 disabled; 0 workers up\n"


def test_what_is_not_deployed_owes_nothing(project: Project) -> None:
    """An entry that is new in the code; another one is registered, so workers of the app have been up."""
    project.write("tasks.py", TASKS)
    project.register("tasks.cleanup")
    let_pass(project, 67 * MINUTE)
    project.record("tasks.cleanup", NOON + 60 * MINUTE, TickStatus.OK, fired_at=NOON, finished_at=NOON)
    assert project.aioq("check", "tasks:app").out == (
        "ok: none of 3 entries is overdue, 1 disabled, 2 not registered; 0 workers up\n"
    )


def test_an_app_that_was_never_up_is_exit_code_1(project: Project) -> None:
    """Nothing of it can be overdue, and a probe must not take that for well; `--json` says so too."""
    project.write("tasks.py", TASKS)
    line = (
        "aioq: check: none of the 3 entries of app tasks is registered with the broker: no worker of it has started yet, "
        "or workers know it by another name or broker; start one, or name the app with Aarq(name=...)\n"
    )
    assert project.aioq("check", "tasks:app") == (1, "", line)
    outcome = project.aioq("check", "tasks:app", "--json")
    assert (outcome.code, outcome.err) == (1, line)
    assert json.loads(outcome.out) == {"ok": False, "entries": 3, "registered": 0, "workers": 0, "overdue": []}


@pytest.mark.parametrize("entries", ["", "app.cron('0 * * * *', enabled=False)(print)"])
def test_an_app_with_nothing_to_fire_is_well(project: Project, entries: str) -> None:
    """Whether or not a worker of it was ever up."""
    text = f"from aioq import Aarq\nfrom tests.core.cli.far import FarBroker\napp = Aarq(FarBroker())\n{entries}\n"
    project.write("tasks.py", text)
    assert project.aioq("check", "tasks:app").code == 0


def test_for_programs_it_is_json(project: Project) -> None:
    """`--json` names what is overdue; the exit code is the same, and stderr still has the lines."""
    project.write("tasks.py", TASKS)
    project.register()
    let_pass(project, 67 * MINUTE)
    outcome = project.aioq("check", "tasks:app", "--json")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 2
    assert json.loads(outcome.out) == {
        "ok": False,
        "entries": 3,
        "registered": 3,
        "workers": 0,
        "overdue": [
            {"name": "tasks.report", "queue": "reports", "tick": "2026-01-05T14:00:00+01:00", "seconds": 420.0},
            {"name": "tasks.cleanup", "queue": "default", "tick": "2026-01-05T13:30:00+01:00", "seconds": 2220.0},
        ],
    }


@pytest.mark.parametrize("down", ["raises", "hangs"])
def test_a_broker_that_is_away_is_exit_code_69(project: Project, down: str) -> None:
    """Whether it refuses or says nothing: a probe gets its answer in time."""
    text = TASKS.replace("FarBroker()", "Away()").replace(
        "    app = Aarq",
        f"""
    from aioq import BrokerUnavailable
    import anyio

    class Away(FarBroker):
        async def cron_statuses(self, app=None):
            if {down == "hangs"}:
                await anyio.sleep_forever()
            raise BrokerUnavailable("connection refused")

    app = Aarq""",
    )
    project.write("tasks.py", text)
    outcome = project.aioq("check", "tasks:app", "--timeout", "0.05")
    said = {"raises": "connection refused", "hangs": "FarBroker() did not answer within 0.05 s"}
    assert outcome == (69, "", f"aioq: {said[down]}\n")


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "3601"])
def test_the_timeout_has_bounds(project: Project, timeout: str) -> None:
    """A probe that waits for ever is none."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("check", "tasks:app", "--timeout", timeout)
    assert outcome == (
        2, "", f"aioq: check: --timeout must be above 0 and at most 3,600, got {float(timeout):g}\n",
    )  # fmt: skip
