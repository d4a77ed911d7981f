"""`aioq cron diff`."""

from __future__ import annotations

import json
import re

from tests.core.cli.conftest import Project

BEFORE = """
    from datetime import timedelta
    from aioq import Aarq
    from aioq_cron import Every
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker(), tz="Europe/Berlin")

    @app.cron("0 9 * * 1-5", queue="reports", misfire="skip")
    async def report(ctx): ...

    @app.cron("*/5 * * * *")
    async def cleanup(ctx): ...

    @app.cron(Every(timedelta(hours=1)))
    async def beat(ctx): ...

    @app.cron("0 0 1 * *")
    async def monthly(ctx): ...
"""

AFTER = """
from aioq import Aarq
from tasks import Every, app, beat, cleanup, monthly, report, timedelta

app.crons._by_name.clear()
app.cron("0 10 * * 1-5", queue="reports", grace=300, unique=True)(report)
app.cron("*/5 * * * *")(cleanup)
app.cron(Every(timedelta(hours=2)), enabled=False)(beat)
app.cron("0 12 * * *", name="noon")(monthly)
"""


def deploy(project: Project) -> None:
    """Register one version of the app, and write another one to the code."""
    project.write("tasks.py", BEFORE)
    project.register()
    project.write("other.py", AFTER)


def test_diff_without_changes_exits_0(project: Project) -> None:
    """The code is the same as what is registered."""
    project.write("tasks.py", BEFORE)
    project.register()
    outcome = project.aioq("cron", "diff", "tasks:app")
    assert outcome == (
        0,
        "a deploy of tasks would change nothing: its 4 cron entries are registered as in the code\n",
        "",
    )


def test_diff_shows_changes_and_exits_1(project: Project) -> None:
    """The output has added, changed and removed entries, with their next runs."""
    deploy(project)
    outcome = project.aioq("cron", "diff", "other:app")
    assert (outcome.code, outcome.err) == (1, "")
    assert outcome.out == (
        "+ noon (queue default): 0 12 * * * [Europe/Berlin]\n"
        "    next run   2026-01-06 12:00+01:00\n"
        "~ tasks.beat (queue default): every 2h [UTC]\n"
        "    schedule   every 1h [UTC] -> every 2h [UTC]\n"
        "    enabled    yes -> no\n"
        "~ tasks.report (queue reports): 0 10 * * 1-5 [Europe/Berlin]\n"
        "    schedule   0 9 * * 1-5 [Europe/Berlin] -> 0 10 * * 1-5 [Europe/Berlin]\n"
        "    fires      on each worker -> once per fleet\n"
        "    grace      default -> 300\n"
        "    misfire    skip -> default\n"
        "    next run   2026-01-06 09:00+01:00 -> 2026-01-06 10:00+01:00\n"
        "- tasks.monthly (queue default): 0 0 1 * * [Europe/Berlin]\n"
        "a deploy of tasks would add 1, change 2 and retire 1 entries, and leave 1 unchanged\n"
    )


def test_diff_other_arguments_of_a_schedule_change_its_digest(project: Project) -> None:
    """The output shows that the arguments differ, but not the arguments."""
    text = """
        from aioq import Aarq
        from tests.core.cli.far import FarBroker

        app = Aarq(FarBroker(), name="shop")

        @app.task(name="greet")
        async def greet(ctx, whom: str) -> None: ...

        app.schedule(greet, "0 9 * * *", args=("ada",), name="greeting")
    """
    project.write("tasks.py", text)
    project.register()
    project.write(
        "other.py",
        text.replace("FarBroker()", "broker")
        .replace(
            "from tests.core.cli.far import FarBroker",
            "from tasks import app as old\n\n        broker = old.broker",
        )
        .replace("ada", "bob"),
    )
    outcome = project.aioq("cron", "diff", "other:app")
    assert (outcome.code, len(outcome.out.splitlines())) == (1, 4)
    assert re.fullmatch(r"    job        [0-9a-f]{8} -> [0-9a-f]{8}", outcome.out.splitlines()[1])


def test_diff_nothing_registered_adds_all_entries(project: Project) -> None:
    """Before the first deploy all entries are added."""
    project.write("tasks.py", BEFORE)
    outcome = project.aioq("cron", "diff", "tasks:app")
    assert (outcome.code, outcome.out.count("\n+ ") + outcome.out.startswith("+ ")) == (1, 4)
    assert outcome.out.endswith("a deploy of tasks would add 4, change 0 and retire 0 entries, and leave 0 unchanged\n")


def test_diff_retired_entry_is_not_removed_again(project: Project) -> None:
    """An earlier deploy has retired the entry."""
    project.write("tasks.py", BEFORE)
    project.register()
    del project.app.crons._by_name["tasks.monthly"]
    assert project.aioq("cron", "diff", "tasks:app").code == 1
    project.register()
    assert project.aioq("cron", "diff", "tasks:app").code == 0


def test_diff_ignores_entries_of_other_apps(project: Project) -> None:
    """Other apps have their entries in the same ledger."""
    project.write("tasks.py", BEFORE)
    project.register()
    project.write(
        "other.py",
        """
        from aioq import Aarq
        import tasks

        app = Aarq(tasks.app.broker)
        app.cron("0 0 * * *")(tasks.report)
        """,
    )
    outcome = project.aioq("cron", "diff", "other:app")
    assert outcome.out.splitlines()[0] == "+ tasks.report (queue default): 0 0 * * * [UTC]"
    assert outcome.out.endswith("a deploy of other would add 1, change 0 and retire 0 entries, and leave 0 unchanged\n")


def test_diff_json_has_definitions_before_and_after(project: Project) -> None:
    """`--json` prints both definitions of a changed entry, with the same exit code."""
    deploy(project)
    outcome = project.aioq("cron", "diff", "other:app", "--json")
    changes = json.loads(outcome.out)
    assert outcome.code == 1
    assert [entry["name"] for entry in changes["added"]] == ["noon"]
    assert [entry["name"] for entry in changes["removed"]] == ["tasks.monthly"]
    change = changes["changed"][1]
    assert (change["before"]["expression"], change["after"]["expression"]) == ("0 9 * * 1-5", "0 10 * * 1-5")
    assert change["after"] == {
        "queue": "reports",
        "name": "tasks.report",
        "kind": "cron",
        "expression": "0 10 * * 1-5",
        "tz": "Europe/Berlin",
        "fingerprint": "0 10 * * 1-5 [Europe/Berlin]",
        "unique": True,
        "enabled": True,
        "options": {"grace": "300"},
        "next": "2026-01-06T10:00:00+01:00",
    }


def test_diff_shows_next_run_of_registered_text_with_note(project: Project) -> None:
    """An expression with `H`, with seconds or in a dialect is registered with a note, and its next run is shown."""
    project.write(
        "tasks.py",
        """
        from aioq import Aarq
        from tests.core.cli.far import FarBroker

        app = Aarq(FarBroker(), tz="Europe/Berlin")

        @app.cron("H 9 * * *")
        async def hashed(ctx): ...

        @app.cron("30 0 9 * * *", seconds="first")
        async def second(ctx): ...

        @app.cron("0 0 9 ? * 2-6 *", dialect="quartz")
        async def weekday(ctx): ...
        """,
    )
    project.register()
    project.write(
        "other.py",
        """
        from tasks import app, hashed, second, weekday

        app.crons._by_name.clear()
        for function in (hashed, second, weekday):
            app.cron("0 12 * * *")(function)
        """,
    )
    out = project.aioq("cron", "diff", "other:app").out
    runs = re.findall(r"next run +(\S+) (\S+) -> 2026-01-06 12:00", out)
    assert [hour.partition(":")[0] for _, hour in runs] == ["09", "09", "09"], out
    assert runs[1:] == [("2026-01-06", "09:00:30+01:00"), ("2026-01-06", "09:00+01:00")]
