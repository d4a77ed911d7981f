"""`aioq doctor`."""

from __future__ import annotations

import json

import pytest

from aioq.cli.doctor import findings_text
from aioq.model.health import Finding, Level
from tests.core.cli.conftest import Project

TASKS = """
    from aioq import Aarq
    from aioq.model.health import Finding, Level
    from tests.core.cli.far import FarBroker

    class Diagnosed(FarBroker):
        async def diagnose(self, *, fix=False):
            return [FIXED] if fix else FOUND

    WELL = Finding(level=Level.OK, subject="server", text="Redis 7.0.15", facts={"uptime": 7})
    ILL = Finding(level=Level.WARN, subject="queue q", text="3 dead jobs\\x1b[31m", advice="look at them")
    WORSE = Finding(level=Level.FAIL, subject="memory", text="full", advice="raise maxmemory")
    FIXED = Finding(level=Level.OK, subject="queue q", text="7 records were removed")
    FOUND = [WELL]

    app = Aarq(Diagnosed())
"""


def with_findings(names: str) -> str:
    """Return the module with other findings."""
    return TASKS.replace("FOUND = [WELL]", f"FOUND = [{names}]")


def test_doctor_without_problems_exits_0(project: Project) -> None:
    """The command prints a table, and the number of findings of each level."""
    project.write("tasks.py", TASKS)
    assert project.aioq("doctor", "tasks:app") == (
        0, "LEVEL  WHAT    FINDING\nok     server  Redis 7.0.15\n0 fail, 0 warn, 1 ok\n", "",
    )  # fmt: skip


@pytest.mark.parametrize(("names", "code"), [("ILL, WELL", 0), ("WORSE, ILL, WELL", 1)])
def test_doctor_failed_finding_exits_1(project: Project, names: str, code: int) -> None:
    """Warnings do not change the exit code."""
    project.write("tasks.py", with_findings(names))
    assert project.aioq("doctor", "tasks:app").code == code


def test_doctor_shows_advice_below_finding(project: Project) -> None:
    """Control characters in a finding are escaped."""
    project.write("tasks.py", with_findings("WORSE, ILL"))
    assert project.aioq("doctor", "tasks:app").out.splitlines() == [
        "LEVEL  WHAT     FINDING",
        "fail   memory   full",
        "                -> raise maxmemory",
        r"warn   queue q  3 dead jobs\x1b[31m",
        "                -> look at them",
        "1 fail, 1 warn, 0 ok",
    ]


def test_findings_text_wraps_findings_to_terminal() -> None:
    """No part of a finding or of its advice is cut in a narrow terminal."""
    text = "appendonly is off and nothing is saved: a restart loses all jobs"
    advice = "CONFIG SET appendonly yes, and in its configuration file"
    finding = Finding(level=Level.WARN, subject="persistence", text=text, advice=advice)
    assert findings_text([finding], 60).splitlines() == [
        "LEVEL  WHAT         FINDING",
        "warn   persistence  appendonly is off and nothing is saved:",
        "                       a restart loses all jobs",
        "                    -> CONFIG SET appendonly yes, and in its",
        "                       configuration file",
    ]


def test_doctor_json_has_facts(project: Project) -> None:
    """`--json` has the same exit code."""
    project.write("tasks.py", with_findings("WORSE, WELL"))
    outcome = project.aioq("doctor", "tasks:app", "--json")
    assert (outcome.code, outcome.err) == (1, "")
    assert json.loads(outcome.out) == {
        "ok": False,
        "findings": [
            {"level": "fail", "subject": "memory", "text": "full", "advice": "raise maxmemory", "facts": {}},
            {"level": "ok", "subject": "server", "text": "Redis 7.0.15", "advice": "", "facts": {"uptime": 7}},
        ],
    }


def test_doctor_fix_is_passed_to_the_broker(project: Project) -> None:
    """With `--fix` the broker removes what belongs to no job, and says so."""
    project.write("tasks.py", TASKS)
    assert "queue q  7 records were removed" in project.aioq("doctor", "tasks:app", "--fix").out


@pytest.mark.parametrize("argv", [["tasks:app"], ["memory://"], []])
def test_doctor_memory_broker_is_rejected(project: Project, argv: list[str]) -> None:
    """The broker is rejected whether it comes from an app, a URL or the environment."""
    project.write("tasks.py", "from aioq import Aarq\napp = Aarq()\n")
    error = (
        "aioq: doctor: the memory broker keeps its data in the process that uses it, where this command cannot see it; "
        "use another broker: set AIOQ_BROKER_URL, or write Aarq(broker=...)\n"
    )
    assert project.aioq("doctor", *argv) == (78, "", error)


def test_doctor_broker_without_diagnose_is_rejected(project: Project) -> None:
    """The line names the missing protocol."""
    project.write("tasks.py", TASKS.replace("Aarq(Diagnosed())", "Aarq(FarBroker())"))
    outcome = project.aioq("doctor", "tasks:app")
    assert outcome.code == 78
    assert outcome.err.startswith(
        "aioq: aioq doctor needs a broker that implements aioq.protocols.Diagnosable, and FarBroker does not"
    )


def test_doctor_unusable_url_is_redacted(project: Project) -> None:
    """The exit code is 69 or 78, and the line has no password."""
    outcome = project.aioq("doctor", f"unix://me:hunter2@{project.folder}/missing.sock")
    assert outcome.code == 69
    assert outcome.err.count("\n") == 1
    assert "hunter2" not in outcome.err
    outcome = project.aioq("doctor", "carrier-pigeon://me:hunter2@roof")
    assert outcome.code == 78
    assert "no installed package provides a broker for carrier-pigeon://" in outcome.err


def test_doctor_slow_broker_times_out(project: Project) -> None:
    """`--timeout` limits the command."""
    project.write(
        "tasks.py", TASKS.replace("return [FIXED] if fix else FOUND", "import anyio; await anyio.sleep_forever()")
    )
    outcome = project.aioq("doctor", "tasks:app", "--timeout", "0.05")
    assert outcome == (69, "", "aioq: FarBroker() did not answer within 0.05 s\n")


@pytest.mark.parametrize("timeout", ["0", "nan", "3601"])
def test_doctor_timeout_out_of_range_is_rejected(project: Project, timeout: str) -> None:
    """The line has the limits."""
    outcome = project.aioq("doctor", "memory://", "--timeout", timeout)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"aioq: doctor: --timeout must be above 0 and at most 3,600, got {float(timeout):g}\n"


def test_findings_text_cuts_no_advice() -> None:
    """Advice is as long as it needs to be, in a terminal of any width and in a file."""
    advice = " ".join(f"word-{n}" for n in range(200))
    finding = Finding(level=Level.WARN, subject="queue q", text="text", advice=advice)
    for width in (None, 40, 80, 200):
        shown = findings_text([finding], width)
        assert " ".join(shown.partition("->")[2].split()) == advice
        assert "..." not in shown
