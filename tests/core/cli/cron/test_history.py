"""`aioq cron history`."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from aioq.cli.cron.history import history_table
from aioq.cron.misfire import MAX_COUNTED
from aioq.model.cron import TickRecord, TickStatus
from aioq.model.ids import tick_id
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())

    @app.cron("0 * * * *", tz="Europe/Berlin")
    async def report(ctx): ...

    @app.task
    async def remind(ctx): ...

    app.schedule(remind, "0 * * * *")
"""

UNIQUE = """
    @app.cron("0 * * * *", unique=True)
    async def once(ctx): ...

    @app.cron("0 * * * *", unique=True)
    async def hourly(ctx): ...
"""

HOUR = 3600.0


def test_history_shows_newest_tick_first(project: Project) -> None:
    """Each row has the status, lateness, duration, worker and reason of a tick."""
    project.write("tasks.py", TASKS)
    told: list[tuple[TickStatus, dict[str, Any]]] = [
        (TickStatus.OK, {"fired_at": 0.004, "finished_at": 1.2, "worker_id": "w1"}),
        (TickStatus.SKIPPED, {"reason": "paused"}),
        (TickStatus.MISSED, {"reason": "no worker was up", "count": 3}),
        (TickStatus.FAILED, {"fired_at": 150.0, "finished_at": 7800.0, "worker_id": "w1", "error": "OSError: disk full"}),
        (TickStatus.FIRED, {"fired_at": 12.0, "worker_id": "w2"}),
    ]  # fmt: skip
    for number, (status, facts) in enumerate(told):
        tick = NOON + number * HOUR
        moments = {name: tick + value for name, value in facts.items() if name.endswith("_at")}
        project.record("tasks.report", tick, status, **{**facts, **moments})
    outcome = project.aioq("cron", "history", "tasks:app", "tasks.report")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "TICK                    STATUS   LATE    TOOK    WORKER  WHY",
        "2026-01-05 17:00+01:00  fired    12 s            w2",
        "2026-01-05 16:00+01:00  failed   2 min   2 h     w1      OSError: disk full",
        "2026-01-05 15:00+01:00  missed                           no worker was up, 3 ticks",
        "2026-01-05 14:00+01:00  skipped                          paused",
        "2026-01-05 13:00+01:00  ok       0.00 s  1.20 s  w1",
    ]


def test_history_capped_count_is_shown_as_lower_bound(project: Project) -> None:
    """Ticks in a row are only counted up to a limit."""
    project.write("tasks.py", TASKS)
    project.record("tasks.report", NOON, TickStatus.SKIPPED, reason="coalesced", count=MAX_COUNTED)
    outcome = project.aioq("cron", "history", "tasks:app", "tasks.report")
    assert outcome.out.splitlines()[1].endswith("  coalesced, 1,000 ticks or more")


def test_history_run_of_vanished_worker_has_no_sign_of_life(project: Project) -> None:
    """The worker that won the latest tick has vanished; `aioq cron list` shows the same."""
    project.write("tasks.py", TASKS + UNIQUE)
    project.register()
    project.record("tasks.once", NOON - HOUR, TickStatus.OK, fired_at=NOON, finished_at=NOON, worker_id="w")
    project.record("tasks.once", NOON, TickStatus.FIRED, fired_at=NOON, worker_id="w")
    project.record("tasks.report", NOON, TickStatus.FIRED, fired_at=NOON, worker_id="w")
    project.record("tasks.hourly", NOON, TickStatus.FIRED, fired_at=NOON, worker_id="ada", reason="by hand")
    outcome = project.aioq("cron", "history", "tasks:app", "tasks.once")
    assert [line.endswith("  no sign of life") for line in outcome.out.splitlines()[1:]] == [True, False]
    for unwatched in ("tasks.report", "tasks.hourly"):
        assert "no sign of life" not in project.aioq("cron", "history", "tasks:app", unwatched).out


def test_history_manual_run_fits_80_columns() -> None:
    """The time of a manual run has milliseconds, and is seven characters longer than a tick."""
    record = TickRecord(
        name="report", queue="default", tick=NOON + 0.661, status=TickStatus.SKIPPED, reason="by hand",
        worker_id="by-hand-ada@laptop", fired_at=NOON + 13, finished_at=NOON + 900, error="OSError: the disk is full",
    )  # fmt: skip
    text = history_table([record], ZoneInfo("Europe/Berlin")).text(80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[1].endswith("by hand, OS...")


def test_history_count_limits_rows(project: Project) -> None:
    """`-n` may be at most the number of records that a ledger keeps."""
    project.write("tasks.py", TASKS)
    for number in range(3):
        project.record("tasks.report", NOON + number * HOUR, TickStatus.MISSED)
    outcome = project.aioq("cron", "history", "tasks:app", "tasks.report", "-n", "2")
    assert [line[11:16] for line in outcome.out.splitlines()[1:]] == ["15:00", "14:00"]
    outcome = project.aioq("cron", "history", "tasks:app", "tasks.report", "-n", "101")
    assert outcome == (2, "", "aioq: cron history: -n must be between 1 and 100, got 101\n")


def test_history_without_records_says_so(project: Project) -> None:
    """The command prints no empty table."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "history", "tasks:app", "tasks.report")
    assert outcome == (0, "no tick of tasks.report is recorded yet\n", "")


def test_history_json_has_ticks_in_entry_zone(project: Project) -> None:
    """`--json` prints ticks in the entry's zone, and all other times in UTC."""
    project.write("tasks.py", TASKS)
    project.record("tasks.report", NOON, TickStatus.MISSED, reason="broker away", count=2)
    (record,) = json.loads(project.aioq("cron", "history", "tasks:app", "tasks.report", "--json").out)
    assert record == {
        "tick": "2026-01-05T13:00:00+01:00",
        "status": "missed",
        "reason": "broker away",
        "count": 2,
        "late": None,
        "fired_at": None,
        "finished_at": None,
        "worker_id": "",
        "job_id": None,
        "error": "",
    }


def test_history_fired_tick_shows_state_of_its_job(project: Project) -> None:
    """The record says `fired`; the job is pending, because no worker is up."""
    project.write("tasks.py", TASKS)
    entry = project.app.crons["tasks.remind"]
    assert entry.job is not None
    job = replace(entry.job, id=tick_id(entry.name, NOON))
    project.do(lambda: project.app.broker.enqueue([job]))
    project.record("tasks.remind", NOON, TickStatus.FIRED, fired_at=NOON, job_id=job.id)
    assert project.aioq("cron", "history", "tasks:app", "tasks.remind").out.endswith("  job pending\n")


FIRED = TickRecord(name="remind", queue="default", tick=NOON, status=TickStatus.FIRED, fired_at=NOON, job_id="j")


def test_history_table_fits_80_columns() -> None:
    """A long worker id loses its beginning, and a long reason its end."""
    record = replace(
        FIRED, status=TickStatus.FAILED, finished_at=NOON + 1, worker_id="a-host-with-a-long-name-4711-abcdef",
        error="ValueError: " + "x" * 100,
    )  # fmt: skip
    text = history_table([record], UTC).text(80)
    assert text == (
        "TICK                    STATUS  LATE    TOOK    WORKER         WHY\n"
        "2026-01-05 12:00+00:00  failed  0.00 s  1.00 s  ...711-abcdef  ValueError: xx..."
    )
