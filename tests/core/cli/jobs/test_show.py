"""`aioq jobs show`."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aioq.cli.jobs.show import escaped
from aioq.cli.times import iso_time
from aioq.clock import stored_time
from aioq.model.changes import Change
from aioq.model.job import ClaimRequest, Completed, Dead, Expired, Failure, HandedBack, NewJob, Retried, Settlement
from aioq.model.tasks import TaskInfo
from aioq.model.workers import WorkerInfo
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON, FarBroker

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())
"""
FAILURE = Failure("SerializationError", "no text\x1b[31m", "Traceback:\n  line 1\r\n  \x1b[31m")


def enqueue(project: Project, payload: bytes, settlement: type[Settlement] | None = Dead, **fields: Any) -> None:
    """Enqueue job `j` on the app's broker, and settle it if a settlement is given."""
    project.write("tasks.py", TASKS)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    near = broker.near
    project.do(lambda: near.enqueue([NewJob(id="j", task="shop.send", queue="mails", payload=payload, **fields)]))
    if settlement is None:
        return
    request = ClaimRequest(worker_id="w1", queues=("mails",), limit=1, lease=30, request_id="r")
    (lease,) = project.do(lambda: near.claim(request)).leases
    ends: dict[type[Settlement], Settlement] = {
        Dead: Dead(lease=lease, reason="malformed", failure=FAILURE),
        Completed: Completed(lease=lease, result=b'"ok"', retain_for=60),
        HandedBack: HandedBack(lease=lease, delay=10, failure=FAILURE),
        Retried: Retried(lease=lease, delay=0, failure=FAILURE),
        Expired: Expired(lease=lease, failure=Failure("Expired", "1 s too late")),
    }
    project.do(lambda: near.settle([ends[settlement]]))


def test_show_dead_job_escapes_stored_bytes(project: Project) -> None:
    """Each value is on one line, and stored control characters are escaped."""
    enqueue(project, b'{"x":"\xff\x1b[31m\r\n\x00\xc3\xa9"}')
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
        "attempts  1  2026-01-05 12:00+00:00  dead after 0 s",
        r"             w1: SerializationError: no text\x1b[31m",
        'payload   19 bytes: {"x":"\\xff\\x1b[31m\\r\\n\\x00é"}',
        r"failure   SerializationError: no text\x1b[31m",
        "          Traceback:",
        "            line 1",
        r"            \x1b[31m",
    ]


def test_show_json_has_all_fields(project: Project) -> None:
    """Times are in ISO 8601, and the payload is escaped text."""
    enqueue(project, b"\x80\x05pickle")
    outcome = project.aioq("jobs", "show", "tasks:app", "j", "-q", "mails", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out) == {
        "id": "j", "queue": "mails", "task": "shop.send", "state": "dead", "reason": "malformed",
        "priority": 5, "attempt": 1, "crashes": 0, "hand_backs": 0, "headers": {},
        "enqueued_at": "2026-01-05T12:00:00+00:00", "run_at": None,
        "started_at": "2026-01-05T12:00:00+00:00", "finished_at": "2026-01-05T12:00:00+00:00", "worker_id": "w1",
        "payload": "\\x80\\x05pickle", "payload_bytes": 8, "result": None, "result_bytes": None,
        "failure": {
            "type": FAILURE.type, "message": FAILURE.message, "place": FAILURE.place, "traceback": FAILURE.traceback,
        },
        "attempts": [{
            "number": 1, "worker_id": "w1", "started_at": "2026-01-05T12:00:00+00:00", "duration": 0.0,
            "outcome": "dead",
            "failure": {"type": FAILURE.type, "message": FAILURE.message, "place": FAILURE.place},
        }],
        "conditions": [], "changes": [],
    }  # fmt: skip


def test_show_lists_headers(project: Project) -> None:
    """Each header is one line in front of the payload, with control characters escaped."""
    enqueue(project, b"{}", None, headers={"a": "1\x1b", "b\n": "2"})
    lines = project.aioq("jobs", "show", "tasks:app", "j").out.splitlines()
    assert lines[-3:] == ["headers   a: 1\\x1b", "          b\\n: 2", "payload   2 bytes: {}"]
    shown = json.loads(project.aioq("jobs", "show", "tasks:app", "j", "--json").out)
    assert shown["headers"] == {"a": "1\x1b", "b\n": "2"}


def test_show_job_that_was_handed_back_says_how_often(project: Project) -> None:
    """The number of hand-backs stands beside the attempts, which they do not use up."""
    enqueue(project, b"{}", HandedBack)
    assert "attempt   0, hand-backs 1" in project.aioq("jobs", "show", "tasks:app", "j").out.splitlines()


def test_show_running_job_has_its_attempts_and_the_current_one(project: Project) -> None:
    """The timeline has one entry for each attempt that ended, and the current one last."""
    enqueue(project, b"{}", Retried)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    near = broker.near
    project.do(lambda: near.claim(ClaimRequest(worker_id="w2", queues=("mails",), limit=1, lease=30, request_id="r2")))
    lines = project.aioq("jobs", "show", "tasks:app", "j").out.splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("attempts"))
    assert lines[first : first + 3] == [
        "attempts  1  2026-01-05 12:00+00:00  retried after 0 s",
        r"             w1: SerializationError: no text\x1b[31m",
        "          2  2026-01-05 12:00+00:00  running",
    ]


def test_show_pending_job_omits_later_times(project: Project) -> None:
    """A time that has not come has no line."""
    enqueue(project, b"{}", None)
    names = [line.split()[0] for line in project.aioq("jobs", "show", "tasks:app", "j").out.splitlines()]
    assert names == [
        "id", "queue", "task", "state", "waits", "priority", "attempt", "crashes", "enqueued", "due", "payload",
    ]  # fmt: skip


def test_show_says_what_a_job_waits_for_and_who_changed_it(project: Project) -> None:
    """Unmet conditions have a line each, and so have the changes of persons, the newest first; `--json` has them all."""
    enqueue(project, b"{}", None, delay=90)
    near = project.app.broker.near  # type: ignore[attr-defined]
    project.do(lambda: near.pause_queue("mails", note="no \x1b[31mserver", by="ada"))
    project.do(lambda: near.note_change(Change(at=NOON, by="ada", what="retry", subject="job mails j", note="again")))
    project.do(lambda: near.note_change(Change(at=NOON, by="bob", what="cancel", subject="job mails other")))
    outcome = project.aioq("jobs", "show", "tasks:app", "j")
    lines = outcome.out.splitlines()
    assert lines[4:7] == [
        "waits for It waits until its time has come. That is at 2026-01-05 12:01:30+00:00.",
        r"          Queue mails is paused by ada: “no \x1b[31mserver”.",
        "          No worker that is up consumes queue mails.",
    ]
    assert lines[-1] == "changes   2026-01-05 12:00+00:00  retry by ada: again"
    told = json.loads(project.aioq("jobs", "show", "tasks:app", "j", "--json").out)
    assert [(one["kind"], one["met"]) for one in told["conditions"]] == [
        ("time", False), ("pause", False), ("worker", False),
    ]  # fmt: skip
    assert told["conditions"][0]["until"] == "2026-01-05T12:01:30+00:00"
    assert told["changes"] == [{"at": "2026-01-05T12:00:00+00:00", "by": "ada", "what": "retry", "note": "again"}]


def test_show_job_that_waits_for_nothing(project: Project) -> None:
    """A due job with a free worker that knows its task says so."""
    enqueue(project, b"{}", None)
    worker = WorkerInfo(
        id="w1", queues=("mails",), concurrency=1, running=0, hostname="h", pid=1, started_at=NOON,
        tasks=(TaskInfo("shop.send", "mails", ()),),
    )  # fmt: skip
    near = project.app.broker.near  # type: ignore[attr-defined]
    project.do(lambda: near.heartbeat(worker, ttl=30))
    lines = project.aioq("jobs", "show", "tasks:app", "j").out.splitlines()
    assert lines[4] == "waits for nothing: a worker is about to claim it"


@pytest.mark.parametrize(
    ("settlement", "line"),
    [(Completed, 'result    4 bytes: "ok"'), (Expired, "failure   Expired: 1 s too late")],
)
def test_show_ended_job_has_outcome_last(project: Project, settlement: type[Settlement], line: str) -> None:
    """The last line is the result or the failure."""
    enqueue(project, b"{}", settlement)
    assert project.aioq("jobs", "show", "tasks:app", "j").out.splitlines()[-1] == line


@pytest.mark.parametrize("byte", [b"x", b"\xff", b"\n", "é".encode()])
def test_show_long_payload_is_cut(project: Project, byte: bytes) -> None:
    """The payload is cut to 4,096 characters on one line; its size is that of the whole."""
    enqueue(project, byte * 1_000_000)
    (line,) = [line for line in project.aioq("jobs", "show", "tasks:app", "j").out.splitlines() if "payload" in line]
    size, text = line.removeprefix("payload   ").split(" bytes: ")
    assert size == f"{1_000_000 * len(byte):,}"
    assert text.isprintable()
    assert text.endswith("...")
    assert 2000 < len(text) <= 4096


def test_escaped_cuts_after_limit() -> None:
    """4,096 bytes are shown whole, one more is not."""
    assert escaped(b"x" * 4096) == "x" * 4096
    assert escaped(b"x" * 4097) == "x" * 4093 + "..."


def test_show_unknown_job_exits_1(project: Project) -> None:
    """The line says what may be wrong, for a job of another queue, too."""
    enqueue(project, b"{}", None)
    outcome = project.aioq("jobs", "show", "tasks:app", "unknown\x1b")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(r"aioq: jobs show: the broker has no job unknown\x1b: it was never enqueued, or")
    assert project.aioq("jobs", "show", "tasks:app", "j", "--queue", "other").code == 1


def test_show_id_of_two_queues_needs_queue(project: Project) -> None:
    """If two queues have a job with the id, the line names the queues, and `-q` chooses one."""
    enqueue(project, b"{}", None)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    project.do(lambda: broker.near.enqueue([NewJob(id="j", task="shop.send", queue="bills", payload=b"{}")]))
    outcome = project.aioq("jobs", "show", "tasks:app", "j")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "aioq: jobs show: the queues bills, mails have a job j each; choose one with -q\n"
    assert "queue     bills" in project.aioq("jobs", "show", "tasks:app", "j", "-q", "bills").out


def test_show_memory_broker_is_rejected(project: Project) -> None:
    """The jobs are in the memory of another process."""
    outcome = project.aioq("jobs", "show", "memory://", "j")
    assert outcome.code == 78
    assert outcome.err.startswith("aioq: jobs show: the memory broker keeps its data in the process that uses it")


def test_show_broker_without_job_store_is_rejected(project: Project) -> None:
    """The line names the missing protocol."""
    project.write(
        "tasks.py",
        TASKS.replace("Aarq(FarBroker())", "Aarq(Bare())").replace(
            "    app =",
            "    class Bare(FarBroker):\n        def unsupported(self):\n            from aioq.protocols import JobStore\n            return {JobStore: 'it keeps no records'}\n\n    app =",
        ),
    )
    outcome = project.aioq("jobs", "show", "tasks:app", "j")
    assert outcome.code == 78
    assert outcome.err == (
        "aioq: aioq jobs show needs a broker that implements aioq.protocols.JobStore, and Bare cannot here: it keeps no "
        "records\n"
    )


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["j", "-q", "a b"], "aioq: jobs show: queue 'a b' is not of the form [A-Za-z0-9_.-]{1,64}\n"),
        (["j", "-q", "\x1b[31m"], "aioq: jobs show: queue '\\x1b[31m' is not of the form [A-Za-z0-9_.-]{1,64}\n"),
        (["j", "-q", ""], "aioq: jobs show: queue '' is not of the form [A-Za-z0-9_.-]{1,64}\n"),
        (["\udcff"], "aioq: jobs show: '\\udcff' is not the id of a job\n"),
    ],
)
def test_show_impossible_name_is_rejected(project: Project, argv: list[str], error: str) -> None:
    """A queue or an id that cannot be gives one line, and exit code 2."""
    project.write("tasks.py", TASKS)
    assert project.aioq("jobs", "show", "tasks:app", *argv) == (2, "", error)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1e12, "9999-12-31T00:00:00+00:00"),
        (-1e12, "0001-01-02T00:00:00+00:00"),
        (0.0, "1970-01-01T00:00:00+00:00"),
    ],
)
def test_stored_time_of_impossible_year_is_bounded(seconds: float, shown: str) -> None:
    """A number that no calendar has is shown as the end of the calendar, in every time zone."""
    assert iso_time(seconds) == shown
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        assert stored_time(seconds, ZoneInfo(zone)).tzinfo is not None
