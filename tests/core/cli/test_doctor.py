"""`aioq doctor`: what a broker finds when it looks at itself, as a table, as JSON and as an exit code."""

from __future__ import annotations

import json

import pytest

from tests.core.cli.conftest import Project

TASKS = """
    from aioq import Aarq
    from aioq.model.health import Finding, Level
    from tests.core.cli.far import FarBroker

    class Patient(FarBroker):
        async def diagnose(self):
            return FOUND

    WELL = Finding(level=Level.OK, subject="server", text="Redis 7.0.15", facts={"uptime": 7})
    ILL = Finding(level=Level.WARN, subject="queue q", text="3 dead jobs\\x1b[31m", advice="look at them")
    WORSE = Finding(level=Level.FAIL, subject="memory", text="full", advice="raise maxmemory")
    FOUND = [WELL]

    app = Aarq(Patient())
"""


def found(names: str) -> str:
    """Return the module, with other findings."""
    return TASKS.replace("FOUND = [WELL]", f"FOUND = [{names}]")


def test_all_is_well(project: Project) -> None:
    """A table, how many there are of each level, and exit code 0."""
    project.write("tasks.py", TASKS)
    assert project.aioq("doctor", "tasks:app") == (
        0, "LEVEL  WHAT    FINDING\nok     server  Redis 7.0.15\n0 fail, 0 warn, 1 ok\n", "",
    )  # fmt: skip


@pytest.mark.parametrize(("names", "code"), [("ILL, WELL", 0), ("WORSE, ILL, WELL", 1)])
def test_the_exit_code_is_that_of_the_worst(project: Project, names: str, code: int) -> None:
    """Warnings are none for a probe; what has failed is."""
    project.write("tasks.py", found(names))
    assert project.aioq("doctor", "tasks:app").code == code


def test_what_to_do_stands_below(project: Project) -> None:
    """Of what is not as it should be; control characters do not get through."""
    project.write("tasks.py", found("WORSE, ILL"))
    assert project.aioq("doctor", "tasks:app").out.splitlines() == [
        "LEVEL  WHAT     FINDING",
        "fail   memory   full",
        "                -> raise maxmemory",
        r"warn   queue q  3 dead jobs\x1b[31m",
        "                -> look at them",
        "1 fail, 1 warn, 0 ok",
    ]


def test_for_programs_it_is_json(project: Project) -> None:
    """With the figures; the exit code is the same."""
    project.write("tasks.py", found("WORSE, WELL"))
    outcome = project.aioq("doctor", "tasks:app", "--json")
    assert (outcome.code, outcome.err) == (1, "")
    assert json.loads(outcome.out) == {
        "ok": False,
        "findings": [
            {"level": "fail", "subject": "memory", "text": "full", "advice": "raise maxmemory", "facts": {}},
            {"level": "ok", "subject": "server", "text": "Redis 7.0.15", "advice": "", "facts": {"uptime": 7}},
        ],
    }


@pytest.mark.parametrize("argv", [["tasks:app"], ["memory://"], []])
def test_the_memory_broker_cannot_be_looked_at(project: Project, argv: list[str]) -> None:
    """It is in another process, whichever way it is named."""
    project.write("tasks.py", "from aioq import Aarq\napp = Aarq()\n")
    said = (
        "aioq: doctor: the embedded memory broker lives in the process that uses it, and cannot be reached from here; "
        "use another broker: set AIOQ_BROKER_URL, or write Aarq(broker=...)\n"
    )
    assert project.aioq("doctor", *argv) == (78, "", said)


def test_a_broker_that_cannot_look_at_itself(project: Project) -> None:
    """The protocol that it lacks is named."""
    project.write("tasks.py", TASKS.replace("Aarq(Patient())", "Aarq(FarBroker())"))
    outcome = project.aioq("doctor", "tasks:app")
    assert outcome.code == 78
    assert outcome.err.startswith(
        "aioq: aioq doctor needs a broker that implements aioq.protocols.Diagnosable, and FarBroker does not"
    )


def test_a_url_that_nobody_answers_to(project: Project) -> None:
    """Exit code 69 or 78, one line, and no password in it."""
    outcome = project.aioq("doctor", f"unix://me:hunter2@{project.folder}/nobody.sock")
    assert outcome.code == 69
    assert outcome.err.count("\n") == 1
    assert "hunter2" not in outcome.err
    outcome = project.aioq("doctor", "carrier-pigeon://me:hunter2@roof")
    assert outcome.code == 78
    assert "no installed package provides a broker for carrier-pigeon://" in outcome.err


def test_a_broker_that_takes_too_long(project: Project) -> None:
    """`--timeout` bounds it."""
    project.write("tasks.py", TASKS.replace("return FOUND", "import anyio; await anyio.sleep_forever()"))
    outcome = project.aioq("doctor", "tasks:app", "--timeout", "0.05")
    assert outcome == (69, "", "aioq: FarBroker() did not answer within 0.05 s\n")


@pytest.mark.parametrize("timeout", ["0", "nan", "3601"])
def test_the_timeout_has_bounds(project: Project, timeout: str) -> None:
    """One line says which."""
    outcome = project.aioq("doctor", "memory://", "--timeout", timeout)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"aioq: doctor: --timeout must be above 0 and at most 3,600, got {float(timeout):g}\n"
