"""`aioq jobs replay`."""

from __future__ import annotations

import json

import pytest

from aioq.model.job import NewJob
from aioq.model.states import JobState
from tests.core.cli.conftest import Project
from tests.core.cli.far import FarBroker
from tests.core.cli.jobs.test_failures import DECLINED, MISSING, fail


@pytest.fixture
def broker(project: Project) -> FarBroker:
    """The broker of the app in `tasks.py`, with four failures of three causes."""
    jobs = {
        "a": ("shop.charge", DECLINED),
        "b": ("shop.mail", MISSING),
        "c": ("shop.charge", DECLINED),
        "d": ("shop.charge", None),
    }
    fail(project, jobs)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    return broker


def waiting(project: Project, broker: FarBroker) -> set[str]:
    """Return the ids of the jobs that wait."""
    jobs = project.do(lambda: broker.near.list_jobs("default", JobState.PENDING))
    return {job.id for job in jobs}


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (("--task", "shop.charge"), {"a", "c", "d"}),
        (("--type", "CardDeclined"), {"a", "c"}),
        (("--place", "shop.mails:send_invoice"), {"b"}),
        (("--type", "KeyError", "--place", "shop.payments:charge"), set[str]()),
        (("--error", "ADDRESS"), {"b"}),
        (("-q", "other"), set[str]()),
        (("--all",), {"a", "b", "c", "d"}),
    ],
)
def test_replay_puts_chosen_jobs_back(
    project: Project, broker: FarBroker, filters: tuple[str, ...], ids: set[str]
) -> None:
    """The filters choose failures; a dry run counts the same ones and changes nothing."""
    dry = project.aioq("jobs", "replay", "tasks:app", *filters, "--dry-run", "--json")
    assert json.loads(dry.out) == {"chosen": len(ids), "replayed": 0, "dry_run": True}
    assert waiting(project, broker) == set()
    outcome = project.aioq("jobs", "replay", "tasks:app", *filters, "--json")
    assert json.loads(outcome.out) == {"chosen": len(ids), "replayed": len(ids), "dry_run": False}
    assert waiting(project, broker) == ids


def test_replay_records_author_and_note_for_each_cause(project: Project, broker: FarBroker) -> None:
    """The record says how many jobs of which cause; a dry run leaves none."""
    project.aioq("jobs", "replay", "tasks:app", "--all", "--dry-run")
    assert project.do(broker.near.list_changes) == []
    project.aioq("jobs", "replay", "tasks:app", "--type", "CardDeclined", "--note", "bank is back", "--by", "ada")
    (change,) = project.do(broker.near.list_changes)
    assert (change.by, change.what, change.subject, change.note) == (
        "ada", "replay 2 of CardDeclined", "task default shop.charge", "bank is back",
    )  # fmt: skip


def test_replay_says_how_many_jobs_could_not_be_put_back(project: Project, broker: FarBroker) -> None:
    """A failure stays listed if its id is that of a newer job."""
    project.do(lambda: broker.clock.advance(86_400))
    project.do(lambda: broker.near.enqueue([NewJob(id="b", task="shop.mail", queue="default", payload=b"{}")]))
    assert project.aioq("jobs", "replay", "tasks:app", "--all", "--dry-run").out == "4 jobs would be put back\n"
    outcome = project.aioq("jobs", "replay", "tasks:app", "--type", "KeyError")
    assert outcome == (
        0,
        "0 jobs put back; 1 job could not be: the id is that of a newer job, or the job is not stored any more\n",
        "",
    )


@pytest.mark.usefixtures("broker")
def test_replay_without_filter_needs_all(project: Project) -> None:
    """A command without a choice would replay what no person has looked at."""
    outcome = project.aioq("jobs", "replay", "tasks:app")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "aioq: jobs replay: choose the failures with -q, --task, --type, --place or --error, or write --all\n"
    )
