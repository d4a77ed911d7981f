"""`aioq check`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.model.cron import CronStatus, TickStatus
from aioq.model.job import ClaimRequest, Dead, NewJob
from aioq.model.workers import WorkerInfo
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON, FarBroker

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
REQUEST = ClaimRequest(worker_id="w", queues=("default",), limit=1, lease=30, request_id="r")
OVERDUE = (
    "aioq: check: tasks.report is overdue: its tick of 2026-01-05 14:00+01:00, 7 min ago, is not recorded, and "
    "{latest}; is a worker for queue reports up?\n"
)


def start(project: Project, *names: str) -> None:
    """Register entries as a worker does, and be that worker for a day."""
    project.register(*names)
    work(project, "w", queues=("default", "reports"))


def work(project: Project, id: str, **facts: Any) -> None:
    """Be a worker of the app."""
    about = {"concurrency": 4, "running": 0, "hostname": "h", "pid": 1, "started_at": NOON, "app": "tasks", **facts}
    worker = WorkerInfo(id=id, **about)
    project.do(lambda: project.app.broker.heartbeat(worker, ttl=86_400))  # type: ignore[attr-defined]


def enqueue(project: Project, *jobs: NewJob) -> None:
    """Enqueue jobs."""
    project.do(lambda: project.app.broker.enqueue(jobs))


def pass_time(project: Project, seconds: float) -> None:
    """Move the broker's clock."""
    project.app.broker.clock.suspend(seconds)  # type: ignore[attr-defined]


def test_check_without_problems_exits_0(project: Project) -> None:
    """The line counts disabled entries and workers."""
    project.write("tasks.py", TASKS)
    start(project)
    assert project.aioq("check", "tasks:app") == (0, "ok: none of 3 entries is overdue, 1 disabled; 1 worker up\n", "")


def test_check_shows_stuck_slots(project: Project) -> None:
    """The line and `--json` say how many slots of all workers are stuck; they are no problem of a cron."""
    project.write("tasks.py", TASKS)
    project.register()
    for id, stuck in (("w1", 2), ("w2", 1)):
        work(project, id, queues=("default", "reports"), running=3, stuck=stuck)
    outcome = project.aioq("check", "tasks:app")
    assert outcome.code == 0
    assert outcome.out == (
        "ok: none of 3 entries is overdue, 1 disabled; 2 workers up, 3 slots are stuck: their tasks ignore their "
        "timeout or cancellation\n"
    )
    assert json.loads(project.aioq("check", "tasks:app", "--json").out)["stuck"] == 3


def test_check_names_queues_that_are_away(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of queues that cannot be reached are not checked, and do not fail the probe; the others are."""
    project.write("tasks.py", TASKS)
    start(project)
    pass_time(project, 67 * MINUTE)
    whole = FarBroker.cron_statuses  # type: ignore[attr-defined]  # made from those of the memory broker

    async def in_part(broker: FarBroker, app: str | None = None) -> list[CronStatus]:
        here = [status for status in await whole(broker, app) if status.definition.queue != "reports"]
        raise PartlyUnavailable({"reports": BrokerUnavailable("node a is away")}, here)

    monkeypatch.setattr(FarBroker, "cron_statuses", in_part)
    outcome = project.aioq("check", "tasks:app", "--json")
    away = (
        "aioq: check: some queues were not checked: queues reports cannot be reached, other queues go on: "
        "node a is away\n"
    )
    shown = json.loads(outcome.out)
    assert (shown["queues_away"], [one["name"] for one in shown["overdue"]]) == (["reports"], ["tasks.cleanup"])
    assert (outcome.code, outcome.err.startswith(away)) == (1, True)
    for tick in (NOON + 30 * MINUTE, NOON + 60 * MINUTE):
        project.record("tasks.cleanup", tick, TickStatus.OK, fired_at=tick, finished_at=tick)
    assert project.aioq("check", "tasks:app") == (
        0,
        "ok: none of 2 entries is overdue, 1 disabled; 1 worker up\n",
        away,
    )


def test_check_overdue_entry_exits_1(project: Project) -> None:
    """The line has the entry, the tick, its age, and the latest record."""
    project.write("tasks.py", TASKS)
    start(project)
    pass_time(project, 67 * MINUTE)
    for tick in (NOON + 30 * MINUTE, NOON + 60 * MINUTE):
        project.record("tasks.cleanup", tick, TickStatus.OK, fired_at=tick, finished_at=tick)
    assert project.aioq("check", "tasks:app") == (1, "", OVERDUE.format(latest="none is"))


def test_check_overdue_entry_shows_latest_record(project: Project) -> None:
    """An entry that fired before it became overdue has a latest record."""
    project.write("tasks.py", TASKS)
    start(project)
    pass_time(project, 67 * MINUTE)
    project.record("tasks.report", NOON, TickStatus.FAILED, fired_at=NOON, finished_at=NOON)
    project.record("tasks.cleanup", NOON + 60 * MINUTE, TickStatus.OK, fired_at=NOON, finished_at=NOON)
    latest = "the latest one is failed at 2026-01-05 13:00+01:00"
    assert project.aioq("check", "tasks:app") == (1, "", OVERDUE.format(latest=latest))


def test_check_tick_within_grace_is_not_overdue(project: Project) -> None:
    """A tick within the entry's grace is late, but not missed."""
    project.write("tasks.py", TASKS)
    start(project)
    pass_time(project, 64 * MINUTE)
    assert "tasks.report" not in project.aioq("check", "tasks:app").err


@pytest.mark.parametrize("what", ["paused", "retired"])
def test_check_paused_or_retired_entry_is_not_overdue(project: Project, what: str) -> None:
    """A user or a deploy has stopped the entry."""
    project.write("tasks.py", TASKS)
    start(project)
    if what == "paused":
        cron = project.app.crons["tasks.report"].key
        project.do(lambda: project.ledger.pause_cron(cron, note="", by="ada"))
    else:
        project.register("tasks.cleanup", "tasks.off")
    pass_time(project, 67 * MINUTE)
    project.record("tasks.cleanup", NOON + 60 * MINUTE, TickStatus.OK, fired_at=NOON, finished_at=NOON)
    outcome = project.aioq("check", "tasks:app")
    assert outcome.code == 0
    assert outcome.out == f"ok: none of 3 entries is overdue, 1 {what}, 1 disabled; 1 worker up\n"


def test_check_unregistered_entry_is_not_overdue(project: Project) -> None:
    """The entry is new in the code; another one is registered, so workers of the app have been up."""
    project.write("tasks.py", TASKS)
    start(project, "tasks.cleanup")
    pass_time(project, 67 * MINUTE)
    project.record("tasks.cleanup", NOON + 60 * MINUTE, TickStatus.OK, fired_at=NOON, finished_at=NOON)
    assert project.aioq("check", "tasks:app").out == (
        "ok: none of 3 entries is overdue, 1 disabled, 2 not registered; 1 worker up\n"
    )


def test_check_nothing_registered_exits_1(project: Project) -> None:
    """No entry can be overdue if none is registered; `--json` has the same exit code."""
    project.write("tasks.py", TASKS)
    line = (
        "aioq: check: none of the 3 entries of app tasks is registered with the broker: no worker of the app has started "
        "yet, or the workers' app has another name or broker; start a worker, or set the name with Aarq(name=...)\n"
    )
    assert project.aioq("check", "tasks:app") == (1, "", line)
    outcome = project.aioq("check", "tasks:app", "--json")
    assert (outcome.code, outcome.err) == (1, line)
    assert json.loads(outcome.out) == {
        "ok": False,
        "entries": 3,
        "registered": 0,
        "workers": 0,
        "stuck": 0,
        "overdue": [],
        "stopped": [],
        "queues_away": [],
        "findings": [{"kind": "unregistered", "text": line.removeprefix("aioq: check: ").rstrip()}],
    }


@pytest.mark.parametrize("entries", ["", "app.cron('0 * * * *', enabled=False)(print)"])
def test_check_app_without_enabled_entries_exits_0(project: Project, entries: str) -> None:
    """The app needs no worker."""
    text = f"from aioq import Aarq\nfrom tests.core.cli.far import FarBroker\napp = Aarq(FarBroker())\n{entries}\n"
    project.write("tasks.py", text)
    assert project.aioq("check", "tasks:app").code == 0


def test_check_json_names_overdue_entries(project: Project) -> None:
    """`--json` has the same exit code, and the lines on stderr."""
    project.write("tasks.py", TASKS)
    start(project)
    pass_time(project, 67 * MINUTE)
    outcome = project.aioq("check", "tasks:app", "--json")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 2
    shown = json.loads(outcome.out)
    assert [one["kind"] for one in shown.pop("findings")] == ["overdue", "overdue"]
    assert shown == {
        "ok": False,
        "entries": 3,
        "registered": 3,
        "workers": 1,
        "stuck": 0,
        "overdue": [
            {"name": "tasks.report", "queue": "reports", "tick": "2026-01-05T14:00:00+01:00", "seconds": 420.0},
            {"name": "tasks.cleanup", "queue": "default", "tick": "2026-01-05T13:30:00+01:00", "seconds": 2220.0},
        ],
        "stopped": [],
        "queues_away": [],
    }


@pytest.mark.parametrize("down", ["raises", "hangs"])
def test_check_broker_down_exits_69(project: Project, down: str) -> None:
    """A broker that refuses and one that hangs both end the command within its timeout."""
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
    errors = {"raises": "connection refused", "hangs": "FarBroker() did not answer within 0.05 s"}
    assert outcome == (69, "", f"aioq: {errors[down]}\n")


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "3601"])
def test_check_timeout_out_of_range_is_rejected(project: Project, timeout: str) -> None:
    """The line has the limits."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("check", "tasks:app", "--timeout", timeout)
    assert outcome == (
        2, "", f"aioq: check: --timeout must be above 0 and at most 3,600, got {float(timeout):g}\n",
    )  # fmt: skip


JOB = NewJob(id="j", queue="default", task="tasks.work", payload=b"{}")


def test_check_without_workers_names_queues_and_exits_3(project: Project) -> None:
    """A queue with crons or jobs that no worker consumes is a finding; `-q` leaves out the others."""
    project.write("tasks.py", TASKS)
    project.register()
    enqueue(project, JOB)
    line = "aioq: check: no worker consumes queue {}, which has {}; start one with -q {}\n"
    default = line.format("default", "1 job and 1 cron", "default")
    reports = line.format("reports", "1 cron", "reports")
    assert project.aioq("check", "tasks:app") == (3, "", default + reports)
    assert project.aioq("check", "tasks:app", "-q", "reports") == (3, "", reports)
    work(project, "w", queues=("reports", "default"))
    assert project.aioq("check", "tasks:app").code == 0


def test_check_limits_have_exit_codes_of_their_own(project: Project) -> None:
    """Too few workers, a job that waits for too long, and too many failures are told apart; the first one decides."""
    project.write("tasks.py", TASKS)
    start(project)
    enqueue(project, JOB)
    pass_time(project, 90)
    assert project.aioq("check", "tasks:app", "--workers", "1", "--max-latency", "90").code == 0
    latency = project.aioq("check", "tasks:app", "--max-latency", "89.5")
    line = "aioq: check: job j of queue default has been due for 90 s, longer than 89.5 s\n"
    assert latency == (5, "", line)
    both = project.aioq("check", "tasks:app", "--max-latency", "5", "--workers", "2")
    assert (both.code, both.err.count("\n")) == (4, 2)
    assert both.err.startswith("aioq: check: 1 worker is up that consumes a checked queue, fewer than 2\n")
    lease = project.do(lambda: project.app.broker.claim(REQUEST)).leases[0]
    project.do(lambda: project.app.broker.settle([Dead(lease=lease, reason="malformed")]))
    assert project.aioq("check", "tasks:app", "--max-failures", "1").code == 0
    failures = project.aioq("check", "tasks:app", "--max-failures", "0")
    assert failures == (
        6, "", "aioq: check: 1 failure is listed, more than 0: default 1; see aioq jobs failures\n",
    )  # fmt: skip


def test_check_paused_queue_is_named_and_excused(project: Project) -> None:
    """A person has paused the queue, so its jobs may wait."""
    project.write("tasks.py", TASKS)
    start(project)
    enqueue(project, JOB)
    project.do(lambda: project.app.broker.pause_queue("default", note="hot", by="ada"))  # type: ignore[attr-defined]
    pass_time(project, 90)
    outcome = project.aioq("check", "tasks:app", "--max-latency", "5")
    assert outcome == (
        0, "ok: none of 3 entries is overdue, 1 disabled; 1 worker up; queue default is paused by ada\n", "",
    )  # fmt: skip
    shown = json.loads(project.aioq("check", "tasks:app", "--json").out)
    assert shown["stopped"] == [{"queue": "default", "task": None, "by": "ada", "note": "hot"}]


@pytest.mark.parametrize("option", ["--workers=-1", "--max-latency=nan", "--max-failures=-3", "--max-latency=inf"])
def test_check_limit_out_of_range_is_rejected(project: Project, option: str) -> None:
    """The line names the option."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("check", "tasks:app", option)
    name, _, value = option.partition("=")
    assert outcome == (2, "", f"aioq: check: {name} must be 0 or more, got {value}\n")
