"""`aioq cron list`."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest

from aioq.cli.cron.overview import View, overview_table
from aioq.cron.overview import entry_overviews
from aioq.model.cron import TickStatus
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON

TASKS = """
    from datetime import timedelta
    from aioq import Aarq
    from aioq_cron import Every
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker(), tz="Europe/Berlin")

    @app.cron("*/5 * * * *", tz="UTC")
    async def cleanup_old_jobs(ctx): ...

    @app.cron("0 9 * * 1-5", queue="reports", unique=True, grace=300)
    async def send_daily_report(ctx): ...

    @app.task(queue="mails")
    async def remind(ctx, name: str): ...

    app.schedule(remind, "30 18 * * FRI", args=("Ada",))
"""

ODD = """
    from aioq import Aarq

    app = Aarq()

    async def beat(ctx): ...

    class Broken:
        def next_after(self, instant):
            raise RuntimeError("the sun is down")

    class Over:
        def next_after(self, instant):
            return None

    app.cron(Broken(), name="broken")(beat)
    app.cron(Over(), name="over")(beat)
    app.cron("* * * * *", name="off", enabled=False)(beat)
"""

MINUTE = 60.0
HOUR = 3600.0


def table(project: Project, *options: str) -> list[str]:
    """Return the lines of the table for a reader in London."""
    outcome = project.aioq("cron", "list", "tasks:app", "--tz", "Europe/London", *options)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out.splitlines()


def test_list_shows_next_runs_and_latest_tick(project: Project) -> None:
    """An entry has three lines: name, queue and mode; schedule and zone; three runs; the outcome of its latest tick."""
    project.write("tasks.py", TASKS)
    project.register()
    project.record(
        "tasks.cleanup_old_jobs", NOON, TickStatus.OK, fired_at=NOON + 0.02, finished_at=NOON + 1, worker_id="w"
    )
    project.record("tasks.send_daily_report", NOON - 4 * HOUR, TickStatus.MISSED, reason="broker away")
    assert table(project) == [
        "NAME                     SCHEDULE       NEXT RUNS               Europe/London  LATEST TICK",
        "tasks.cleanup_old_jobs   */5 * * * *    2026-01-05 12:05+00:00  Mon 12:05      ok 12:00",
        "  queue default          UTC            2026-01-05 12:10+00:00  Mon 12:10      0.02 s late",
        "  on each worker                        2026-01-05 12:15+00:00  Mon 12:15",
        "tasks.send_daily_report  0 9 * * 1-5    2026-01-06 09:00+01:00  Tue 08:00      missed 09:00",
        "  queue reports          Europe/Berlin  2026-01-07 09:00+01:00  Wed 08:00      broker away",
        "  once per fleet                        2026-01-08 09:00+01:00  Thu 08:00",
        "tasks.remind             30 18 * * FRI  2026-01-09 18:30+01:00  Fri 17:30      none yet",
        "  queue mails            Europe/Berlin  2026-01-16 18:30+01:00  Fri 17:30",
        "  one job a tick                        2026-01-23 18:30+01:00  Fri 17:30",
    ]  # fmt: skip


def test_list_same_zone_has_no_column_for_reader(project: Project) -> None:
    """A reader in the entries' zone sees each run once."""
    project.write("tasks.py", TASKS.replace(', tz="UTC"', ""))
    lines = project.aioq("cron", "list", "tasks:app", "--tz", "Europe/Berlin").out.splitlines()
    assert lines[0].split() == ["NAME", "SCHEDULE", "NEXT", "RUNS", "LATEST", "TICK"]


def test_list_without_tz_uses_zone_of_host(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The column `YOUR TIME` has the host's time."""
    project.write("tasks.py", TASKS)
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        lines = project.aioq("cron", "list", "tasks:app").out.splitlines()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "YOUR TIME" in lines[0]
    assert "2026-01-05 12:05+00:00  Mon 17:35" in lines[1]


def test_list_paused_and_disabled_entries_show_reason(project: Project) -> None:
    """A paused entry shows the time, the user and the note, a disabled one the word, in place of next runs."""
    project.write("tasks.py", TASKS.replace("grace=300", "enabled=False"))
    project.register()
    cron = project.app.crons["tasks.cleanup_old_jobs"].key
    project.do(lambda: project.ledger.pause_cron(cron, note="moving the data", by="ada@laptop"))
    lines = table(project)
    assert [line[40:64].strip() for line in lines[1:5]] == [
        "paused 12:00", "by ada@laptop", "moving the data", "disabled",
    ]  # fmt: skip


def test_list_overdue_entry_is_marked(project: Project) -> None:
    """An entry without a record of its tick is marked on its first line."""
    project.write("tasks.py", TASKS)
    project.register()
    project.app.broker.clock.suspend(30 * MINUTE)  # type: ignore[attr-defined]
    lines = table(project)
    assert lines[1].endswith("OVERDUE 12:05")
    assert lines[2].endswith("none yet")


def test_list_unregistered_entry_says_so(project: Project) -> None:
    """An entry that is not in the ledger is not deployed yet."""
    project.write("tasks.py", TASKS)
    assert table(project)[1].endswith("not registered")


def test_list_failed_run_shows_error(project: Project) -> None:
    """A failed tick has its error; a tick whose run has not ended is `fired`."""
    project.write("tasks.py", TASKS)
    project.register()
    fired = NOON - 180 * HOUR
    project.record("tasks.cleanup_old_jobs", NOON, TickStatus.FIRED, fired_at=NOON, worker_id="w")
    project.record(
        "tasks.send_daily_report", fired, TickStatus.FAILED, fired_at=fired + 14, finished_at=fired + 20,
        worker_id="w", error="ConnectionError: refused",
    )  # fmt: skip
    lines = table(project)
    assert lines[1].endswith("  fired 12:00")
    assert lines[4].endswith("failed 2025-12-29 01:00")
    assert lines[5].endswith("  14 s late")
    assert lines[6].endswith("  ConnectionError: refused")


def test_list_run_of_vanished_worker_has_no_sign_of_life(project: Project) -> None:
    """The worker that won the tick has vanished: its run will not end."""
    project.write("tasks.py", TASKS)
    project.register()
    project.record("tasks.send_daily_report", NOON, TickStatus.FIRED, fired_at=NOON, worker_id="w")
    lines = table(project)
    assert lines[4].endswith("  fired 13:00")
    assert lines[6].endswith("  no sign of life")


def test_overview_table_fits_80_columns(project: Project) -> None:
    """No line is wrapped: long names lose their beginning, long notes their end."""
    project.write("tasks.py", TASKS)
    project.register()
    project.record("tasks.send_daily_report", NOON - 4 * HOUR, TickStatus.MISSED, reason="broker away for a long time")
    cron = project.app.crons["tasks.cleanup_old_jobs"].key
    project.do(lambda: project.ledger.pause_cron(cron, note="moving the data to the new house", by="ada@laptop"))
    statuses = project.do(project.ledger.cron_statuses)
    now = datetime.fromtimestamp(NOON, UTC)
    view = View(now=now, zone=UTC, with_ledger=True)
    text = overview_table(entry_overviews(project.app.crons, statuses, now), view).text(80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[:5] == [
        "NAME              SCHEDULE     NEXT RUNS               UTC        LATEST TICK",
        "...anup_old_jobs  */5 * * * *  paused 12:00                       none yet",
        "  queue default   UTC          by ada@laptop",
        "  on each worker               moving the data to ...",
        "..._daily_report  0 9 * * 1-5  2026-01-06 09:00+01:00  Tue 08:00  missed 09:00",
    ]


def test_list_all_shows_entries_not_in_code(project: Project) -> None:
    """`--all` adds retired entries, and those that the code no longer has."""
    project.write("tasks.py", TASKS)
    project.register()
    project.register("tasks.remind")
    del project.app.crons._by_name["tasks.remind"]
    del project.app.crons._by_name["tasks.cleanup_old_jobs"]
    assert len(table(project)) == 4
    cells = [line[40:64].strip() for line in table(project, "--all")]
    assert cells[4:6] == ["not in this code", "retired 12:00"]
    assert cells[7:9] == ["not in this code", ""]


@pytest.mark.parametrize("down", ["raises", "hangs"])
def test_list_broker_down_shows_code_only(project: Project, monkeypatch: pytest.MonkeyPatch, down: str) -> None:
    """The command prints one line to stderr, and shows the entries without a ledger."""
    monkeypatch.setattr("aioq.cli.cron.list.BROKER_TIMEOUT", 0.05)
    text = TASKS.replace("import FarBroker", "import FarBroker as Far").replace(
        "    app = Aarq",
        f"""
    from aioq import BrokerUnavailable
    import anyio

    class FarBroker(Far):
        async def connect(self):
            if {down == "hangs"}:
                await anyio.sleep_forever()
            raise BrokerUnavailable("redis://me:secret@host:6379/0 refused the connection")

    app = Aarq""",
    )
    project.write("tasks.py", text)
    outcome = project.aioq("cron", "list", "tasks:app", "--tz", "UTC")
    errors = {
        "raises": "aioq: redis://me:***@host:6379/0 refused the connection; showing only what is in the code\n",
        "hangs": "aioq: FarBroker() did not answer within 0.05 s; showing only what is in the code\n",
    }
    assert (outcome.code, outcome.err) == (0, errors[down])
    assert "tasks.send_daily_report" in outcome.out
    assert "LATEST TICK" not in outcome.out


def test_list_broken_schedule_does_not_affect_others(project: Project) -> None:
    """A schedule that raises and one that has ended are shown as such."""
    project.write("tasks.py", ODD)
    lines = [line.split("  ") for line in table(project)]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == ["NAME", "SCHEDULE", "NEXT RUNS"]
    assert cells[1] == ["broken", "tasks.Broken", "fails: RuntimeError: the sun is down"]
    assert cells[4] == ["over", "tasks.Over", "ended"]
    assert cells[7] == ["off", "* * * * *", "disabled"]


def test_list_app_without_crons_says_so(project: Project) -> None:
    """The command prints no empty table."""
    project.write("tasks.py", "from aioq import Aarq\napp = Aarq()\n")
    assert project.aioq("cron", "list", "tasks:app") == (0, "tasks:app has no crons\n", "")


def test_list_json_has_all_fields(project: Project) -> None:
    """Ticks are in the entry's zone, all other times in UTC."""
    project.write("tasks.py", TASKS)
    project.register()
    tick = NOON - 4 * HOUR
    project.record(
        "tasks.send_daily_report", tick, TickStatus.OK, fired_at=tick + 0.5, finished_at=tick + 3, worker_id="w1"
    )
    cron = project.app.crons["tasks.send_daily_report"].key
    project.do(lambda: project.ledger.pause_cron(cron, note="why", by="ada@laptop"))
    entries = json.loads(project.aioq("cron", "list", "tasks:app", "--json").out)
    assert [entry["name"] for entry in entries] == [
        "tasks.cleanup_old_jobs", "tasks.send_daily_report", "tasks.remind",
    ]  # fmt: skip
    assert entries[1] == {
        "name": "tasks.send_daily_report",
        "queue": "reports",
        "kind": "cron",
        "expression": "0 9 * * 1-5",
        "tz": "Europe/Berlin",
        "unique": True,
        "enabled": True,
        "options": {"grace": "300"},
        "in_code": True,
        "stored": False,
        "next": ["2026-01-06T09:00:00+01:00", "2026-01-07T09:00:00+01:00", "2026-01-08T09:00:00+01:00"],
        "overdue": None,
        "ledger": {
            "armed_at": "2026-01-05T12:00:00+00:00",
            "retired_at": None,
            "paused": {"note": "why", "by": "ada@laptop", "at": "2026-01-05T12:00:00+00:00"},
            "last": {
                "tick": "2026-01-05T09:00:00+01:00",
                "status": "ok",
                "reason": "",
                "count": 1,
                "late": 0.5,
                "fired_at": "2026-01-05T08:00:00.500000+00:00",
                "finished_at": "2026-01-05T08:00:03+00:00",
                "worker_id": "w1",
                "job_id": None,
                "error": "",
            },
            "last_success": "2026-01-05T09:00:00+01:00",
            "running": None,
            "counts": {"fired": 1, "ok": 1, "failed": 0, "skipped": 0, "missed": 0, "coalesced": 0},
        },
    }


def test_list_json_broken_schedule_has_error(project: Project) -> None:
    """The ledger's part is null on the memory broker."""
    project.write("tasks.py", ODD)
    (broken, _, _) = json.loads(project.aioq("cron", "list", "tasks:app", "--json").out)
    assert (broken["next"], broken["error"]) == ([], "fails: RuntimeError: the sun is down")
    assert broken["ledger"] is None


def test_list_unknown_zone_is_rejected(project: Project) -> None:
    """`--tz` takes the name of a time zone."""
    project.write("tasks.py", TASKS)
    outcome = project.aioq("cron", "list", "tasks:app", "--tz", "Europe/Berln")
    assert outcome == (2, "", "aioq: --tz: 'Europe/Berln' is not a known time zone; write one like Europe/Berlin\n")
