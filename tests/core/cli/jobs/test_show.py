"""`aioq jobs show`: a job as text and as JSON, whatever it is made of."""

from __future__ import annotations

import json

import pytest

from aioq.cli.jobs.show import escaped
from aioq.model.job import ClaimRequest, Completed, Dead, Expired, Failure, NewJob, Settlement
from tests.core.cli.conftest import Project
from tests.core.cli.far import FarBroker

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())
"""
FAILURE = Failure("SerializationError", "no text\x1b[31m", "Traceback:\n  line 1\r\n  \x1b[31m")


def fill(project: Project, payload: bytes, settlement: type[Settlement] | None = Dead) -> None:
    """Have the app's broker hold job `j`, ended by a settlement if one is given."""
    project.write("tasks.py", TASKS)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    near = broker.near
    project.do(lambda: near.enqueue([NewJob(id="j", task="shop.send", queue="mails", payload=payload)]))
    if settlement is None:
        return
    request = ClaimRequest(worker_id="w1", queues=("mails",), limit=1, lease=30, request_id="r")
    (lease,) = project.do(lambda: near.claim(request)).leases
    ends: dict[type[Settlement], Settlement] = {
        Dead: Dead(lease=lease, reason="malformed", failure=FAILURE),
        Completed: Completed(lease=lease, result=b'"ok"', retain_for=60),
        Expired: Expired(lease=lease, failure=Failure("Expired", "1 s too late")),
    }
    project.do(lambda: near.settle([ends[settlement]]))


def test_a_dead_job_is_shown_with_its_bytes(project: Project) -> None:
    """Each fact is on a line of its own; nothing that is stored can break out of it."""
    fill(project, b'{"x":"\xff\x1b[31m\r\n\x00\xc3\xa9"}')
    outcome = project.aioq("jobs", "show", "tasks:app", "j")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "id        j",
        "queue     mails",
        "task      shop.send",
        "state     dead: malformed",
        "priority  5",
        "attempt   1",
        "crashes   0",
        "enqueued  2026-01-05 12:00+00:00",
        "started   2026-01-05 12:00+00:00",
        "finished  2026-01-05 12:00+00:00",
        "worker    w1",
        'payload   19 bytes: {"x":"\\xff\\x1b[31m\\r\\n\\x00é"}',
        r"failure   SerializationError: no text\x1b[31m",
        "          Traceback:",
        "            line 1",
        r"            \x1b[31m",
    ]


def test_for_programs_it_is_json(project: Project) -> None:
    """Moments in ISO 8601, and the payload as persons see it."""
    fill(project, b"\x80\x05pickle")
    outcome = project.aioq("jobs", "show", "tasks:app", "j", "-q", "mails", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == {
        "id": "j", "queue": "mails", "task": "shop.send", "state": "dead", "reason": "malformed",
        "priority": 5, "attempt": 1, "crashes": 0,
        "enqueued_at": "2026-01-05T12:00:00+00:00", "run_at": None,
        "started_at": "2026-01-05T12:00:00+00:00", "finished_at": "2026-01-05T12:00:00+00:00", "worker_id": "w1",
        "payload": "\\x80\\x05pickle", "payload_bytes": 8, "result": None, "result_bytes": None,
        "failure": {"type": FAILURE.type, "message": FAILURE.message, "traceback": FAILURE.traceback},
    }  # fmt: skip


def test_a_job_that_waits_says_less(project: Project) -> None:
    """There is no line for what has not happened."""
    fill(project, b"{}", None)
    names = [line.split()[0] for line in project.aioq("jobs", "show", "tasks:app", "j").out.splitlines()]
    assert names == ["id", "queue", "task", "state", "priority", "attempt", "crashes", "enqueued", "payload"]


@pytest.mark.parametrize(
    ("settlement", "line"),
    [(Completed, 'result    4 bytes: "ok"'), (Expired, "failure   Expired: 1 s too late")],
)
def test_how_a_job_ended_stands_last(project: Project, settlement: type[Settlement], line: str) -> None:
    """Its result, or by how much it was too late."""
    fill(project, b"{}", settlement)
    assert project.aioq("jobs", "show", "tasks:app", "j").out.splitlines()[-1] == line


@pytest.mark.parametrize("byte", [b"x", b"\xff", b"\n", "é".encode()])
def test_a_long_payload_is_cut(project: Project, byte: bytes) -> None:
    """To 4,096 characters, on one line; the size says how much there is."""
    fill(project, byte * 1_000_000)
    (line,) = [line for line in project.aioq("jobs", "show", "tasks:app", "j").out.splitlines() if "payload" in line]
    size, text = line.removeprefix("payload   ").split(" bytes: ")
    assert size == f"{1_000_000 * len(byte):,}"
    assert text.isprintable()
    assert text.endswith("...")
    assert 2000 < len(text) <= 4096


def test_a_payload_of_the_longest_that_is_shown() -> None:
    """It is shown whole, and one byte more is not."""
    assert escaped(b"x" * 4096) == "x" * 4096
    assert escaped(b"x" * 4097) == "x" * 4093 + "..."


def test_a_job_that_nobody_knows(project: Project) -> None:
    """Exit code 1, and what may be wrong; so for a job of another queue."""
    fill(project, b"{}", None)
    outcome = project.aioq("jobs", "show", "tasks:app", "nobody\x1b")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(r"aioq: jobs show: nothing is known of job nobody\x1b: it was never enqueued, or")
    assert project.aioq("jobs", "show", "tasks:app", "j", "--queue", "other").code == 1


def test_the_memory_broker_cannot_be_asked(project: Project) -> None:
    """It is in another process."""
    outcome = project.aioq("jobs", "show", "memory://", "j")
    assert outcome.code == 78
    assert outcome.err.startswith("aioq: jobs show: the embedded memory broker lives in the process that uses it")


def test_a_broker_that_keeps_no_records(project: Project) -> None:
    """The protocol that it lacks is named."""
    project.write(
        "tasks.py",
        TASKS.replace("Aarq(FarBroker())", "Aarq(Bare())").replace(
            "    app =", "    class Bare(FarBroker):\n        get_job = None\n\n    app ="
        ),
    )
    outcome = project.aioq("jobs", "show", "tasks:app", "j")
    assert outcome.code == 78
    assert "aioq jobs show needs a broker that implements aioq.protocols.JobStore" in outcome.err
