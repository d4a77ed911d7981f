"""`aioq jobs list`."""

from __future__ import annotations

import json

import pytest

from aioq.cli.jobs import list as jobs_list
from aioq.model.job import ClaimRequest, Completed, Failed, Failure, NewJob
from aioq.model.states import JobState
from tests.core.cli.conftest import Project
from tests.core.cli.far import FarBroker

TASKS = """
    from aioq import Aarq
    from tests.core.cli.far import FarBroker

    app = Aarq(FarBroker())
"""


@pytest.fixture
def listed(project: Project) -> Project:
    """A project with four jobs in two queues, a minute apart: completed, failed, pending and scheduled."""
    project.write("tasks.py", TASKS)
    broker = project.app.broker
    assert isinstance(broker, FarBroker)
    near = broker.near

    async def run() -> None:
        for id, queue, delay in (
            ("done", "mails", 0),
            ("bad", "mails", 0),
            ("waits", "bills", 0),
            ("late", "bills", 60),
        ):
            await near.enqueue([NewJob(id=id, task=f"shop.{queue}", queue=queue, payload=b"{}", delay=delay)])
            request = ClaimRequest(worker_id="w", queues=("mails",), limit=1, lease=30, request_id=id)
            for lease in (await near.claim(request)).leases:
                failure = Failure("KeyError", "no\x1b[31m address", "", "shop:f")
                end = (
                    Completed(lease=lease, retain_for=999)
                    if id == "done"
                    else Failed(lease=lease, failure=failure, retain_for=999)
                )
                await near.settle([end])
            await broker.clock.advance(60 if id != "late" else 0)

    project.do(run)
    return project


def test_list_has_newest_job_first(listed: Project) -> None:
    """The jobs of all queues and states are in one table, and control characters are escaped."""
    outcome = listed.aioq("jobs", "list", "tasks:app")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "ID     QUEUE  TASK        STATE      AT     ERROR",
        "late   bills  shop.bills  scheduled  12:03",
        "waits  bills  shop.bills  pending    12:02",
        r"bad    mails  shop.mails  failed     12:01  KeyError: no\x1b[31m address",
        "done   mails  shop.mails  completed  12:00",
    ]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (("-q", "mails"), ["bad", "done"]),
        (("--task", "shop.bills"), ["late", "waits"]),
        (("--state", "failed", "--state", "pending"), ["waits", "bad"]),
        (("--error", "keyerror: no"), ["bad"]),
        (("--since", "90s"), ["late", "waits"]),
        (("--since", "2min"), ["late", "waits", "bad"]),
        (("--since", "2026-01-05T12:02Z"), ["late", "waits"]),
        (("-q", "nothing"), []),
    ],
)
def test_list_with_filters_has_jobs_that_match(listed: Project, filters: tuple[str, ...], ids: list[str]) -> None:
    """Each filter leaves out what does not match."""
    outcome = listed.aioq("jobs", "list", "tasks:app", *filters, "--json")
    assert [job["id"] for job in json.loads(outcome.out)] == ids


def test_list_says_what_it_leaves_out(listed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines on stderr say how many more jobs match, and name the states that were read in part."""
    outcome = listed.aioq("jobs", "list", "tasks:app", "-n", "1")
    assert len(outcome.out.splitlines()) == 2
    assert outcome.err == "aioq: jobs list: 3 more jobs match; show more with -n, up to 1,000\n"
    monkeypatch.setattr(jobs_list, "MOST_READ", 2)
    monkeypatch.setattr(jobs_list, "PAGE", 1)
    broker = listed.app.broker
    assert isinstance(broker, FarBroker)
    more = [NewJob(id=f"more-{n}", task="shop.bills", queue="bills", payload=b"{}") for n in range(3)]
    listed.do(lambda: broker.near.enqueue(more))
    outcome = listed.aioq("jobs", "list", "tasks:app", "--task", "other")
    assert outcome.out == "no jobs were found\n"
    assert outcome.err == "aioq: jobs list: only the first 2 jobs were read of pending in queue bills\n"


def test_list_of_long_names_fits_80_columns(listed: Project) -> None:
    """In a terminal long names and errors are cut, and the id of a job is whole."""
    broker = listed.app.broker
    assert isinstance(broker, FarBroker)
    id = "P7jvGHH8hl1WyV_2Gjl1p"
    job = NewJob(id=id, task="a_package.with.a.long.name.task", queue="a-queue-with-a-long-name", payload=b"{}")
    listed.do(lambda: broker.near.enqueue([job]))
    (record,) = listed.do(lambda: broker.near.list_jobs("a-queue-with-a-long-name", JobState.PENDING))
    lines = jobs_list.table_of([record], now=record.enqueued_at + 1e6).text(80).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith(id)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("-q", "a b"), "jobs list: queue 'a b' is not of the form"),
        (("--since", "soon"), "jobs list: --since: 'soon' is not a time in ISO 8601"),
        (("-n", "0"), "jobs list: -n must be between 1 and 1,000, got 0"),
        (("--state", "ill"), "jobs list: argument --state: invalid choice: 'ill'"),
    ],
)
def test_list_with_impossible_filter_is_rejected(listed: Project, words: tuple[str, ...], error: str) -> None:
    """The line names the option, and the exit code is 2."""
    outcome = listed.aioq("jobs", "list", "tasks:app", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"aioq: {error}")
