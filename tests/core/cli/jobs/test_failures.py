"""`aioq jobs failures` and `aioq jobs failures dismiss`."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from aioq.model.job import ClaimRequest, Dead, Failed, Failure, NewJob
from tests.core.cli.conftest import Project
from tests.core.cli.far import NOON, FarBroker

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())
"""
DECLINED = Failure("CardDeclined", "no\x1b[31m money", "Traceback: ...", "shop.payments:charge")
MISSING = Failure("KeyError", "'address'", "Traceback: ...", "shop.mails:send_invoice")


def fail(project: Project, jobs: Mapping[str, tuple[str, Failure | None]], queue: str = "default") -> None:
    """Let jobs of tasks fail, a minute apart; one without a failure is dead."""
    project.write("tasks.py", TASKS)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    near = broker.near

    async def run() -> None:
        for id, (task, failure) in jobs.items():
            await near.enqueue([NewJob(id=id, task=task, queue=queue, payload=b"{}")])
            request = ClaimRequest(worker_id="w1", queues=(queue,), limit=1, lease=30, request_id=f"r-{id}")
            (lease,) = (await near.claim(request)).leases
            settlement = Failed(lease=lease, failure=failure) if failure else Dead(lease=lease, reason="malformed")
            await near.settle([settlement])
            await broker.clock.advance(60)

    project.do(run)


@pytest.fixture
def failed(project: Project) -> Project:
    """A project with four failures of three causes."""
    fail(
        project,
        {
            "a": ("shop.charge", DECLINED),
            "b": ("shop.mail", MISSING),
            "c": ("shop.charge", DECLINED),
            "d": ("shop.charge", None),
        },
    )
    return project


def test_failures_are_one_line_for_each_cause(failed: Project) -> None:
    """The cause with the newest failure comes first; a dead job without an exception has its reason."""
    outcome = failed.aioq("jobs", "failures", "tasks:app")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "count  task         exception     place                    first  last",
        "1      shop.charge  malformed                              12:03  12:03",
        "2      shop.charge  CardDeclined  shop.payments:charge     12:00  12:02",
        "1      shop.mail    KeyError      shop.mails:send_invoice  12:01  12:01",
    ]
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_failures_json_has_sample(failed: Project) -> None:
    """Programs get the newest failure of each cause, and control characters are escaped."""
    outcome = failed.aioq("jobs", "failures", "tasks:app", "--task", "shop.charge", "--json")
    assert "\x1b" not in outcome.out
    assert json.loads(outcome.out)[1] == {
        "queue": "default", "task": "shop.charge", "type": "CardDeclined", "place": "shop.payments:charge", "count": 2,
        "first": "2026-01-05T12:00:00+00:00", "last": "2026-01-05T12:02:00+00:00", "job_id": "c",
        "failure_id": f"c~{round((NOON + 120) * 1000)}", "state": "failed", "message": "no\x1b[31m money",
    }  # fmt: skip


def test_failures_of_queue_and_task_are_chosen(failed: Project) -> None:
    """Without failures, or without any that were asked for, the line says so."""
    fail(failed, {"e": ("shop.mail", MISSING)}, queue="mails")
    lines = failed.aioq("jobs", "failures", "tasks:app", "-q", "mails").out.splitlines()
    assert [line.split()[:2] for line in lines] == [["count", "task"], ["1", "shop.mail"]]
    assert failed.aioq("jobs", "failures", "tasks:app", "-q", "mails", "--task", "shop.charge").out == "no failures\n"
    outcome = failed.aioq("jobs", "failures", "tasks:app", "-q", "not a queue")
    assert (outcome.code, outcome.out) == (2, "")


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (("--type", "CardDeclined"), 2),
        (("--task", "shop.charge"), 1),
        (("--task", "shop.charge", "--place", "shop.payments:charge"), 2),
        (("--place", "nowhere:f"), 4),
        (("--error", "ADDRESS"), 3),
        (("-q", "default"), 0),
        (("--all",), 0),
    ],
)
def test_dismiss_takes_chosen_failures_off_list(failed: Project, filters: tuple[str, ...], left: int) -> None:
    """The filters choose causes; the others stay listed."""
    outcome = failed.aioq("jobs", "failures", "dismiss", "tasks:app", *filters, "--json")
    assert (outcome.code, json.loads(outcome.out)) == (0, {"dismissed": 4 - left})
    rest = json.loads(failed.aioq("jobs", "failures", "tasks:app", "--json").out)
    assert sum(group["count"] for group in rest) == left


def test_dismiss_without_filter_needs_all(failed: Project) -> None:
    """A command without a choice would dismiss what no person has looked at."""
    outcome = failed.aioq("jobs", "failures", "dismiss", "tasks:app")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "aioq: jobs failures dismiss: choose the failures with -q, --task, --type, --place or --error, or write --all\n"
    )
    assert failed.aioq("jobs", "failures", "dismiss", "tasks:app", "--type", "KeyError").out == "1 failure dismissed\n"


def test_dismiss_records_author_and_note_for_each_cause(failed: Project) -> None:
    """The record says how many failures of which cause, and why."""
    failed.aioq("jobs", "failures", "dismiss", "tasks:app", "--task", "shop.charge", "--note", "seen", "--by", "ada")
    broker = failed.app.broker
    assert isinstance(broker, FarBroker)
    changes = failed.do(broker.near.list_changes)
    assert [(one.by, one.what, one.subject, one.note) for one in changes] == [
        ("ada", "dismiss 2 of CardDeclined", "task default shop.charge", "seen"),
        ("ada", "dismiss 1 of malformed", "task default shop.charge", "seen"),
    ]
