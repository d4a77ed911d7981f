"""Jobs that are changed by the filter that is shown, and the counts of such changes."""

from __future__ import annotations

import re

from msgspec.structs import replace

from aioq.model.ids import new_id
from aioq.model.statistics import JobOutcome
from tests.web.site import Shop
from tests.web.steering import counted, reading


def until_of(page: str) -> str:
    """Return the moment that a preview was made at, as its form has it."""
    found = re.search(r'name="until" value="([^"]+)"', page)
    assert found is not None
    return found[1]


async def test_preview_changes_nothing_and_tells_the_number() -> None:
    """Before the form is sent, a reader sees how many jobs match, and the first of them."""
    shop = Shop()
    async with reading(shop.app) as reader:
        jobs = await shop.app.enqueue_many([shop.export.call(f"file{number}") for number in range(30)])
        page = await reader.get("/jobs/change", verb="cancel", queue="exports", q="shop.export")
        assert "<h2>30 jobs</h2>" in page
        assert "The latest 20 of 30." in page
        assert {await job.state() for job in jobs} == {"pending"}


async def test_matching_jobs_are_cancelled_and_counted() -> None:
    """A form cancels at most 1,000 jobs, says that there are more, and goes on; the change log has one line for each."""
    shop = Shop()
    async with reading(shop.app) as reader:
        await shop.app.enqueue_many([shop.export.call(f"file{number}") for number in range(1_003)])
        fields = {"verb": "cancel", "queue": "exports", "note": "wrong files"}
        until = until_of(await reader.get("/jobs/change", **fields))
        first = await reader.send("/jobs/change", until=until, **fields)
        assert "1,000 jobs were cancelled. More may match: go on here." in first.text
        assert "<h2>3 jobs</h2>" in first.text
        assert (
            "3 jobs were cancelled." in (await reader.send("/jobs/change", until=until_of(first.text), **fields)).text
        )
        assert await counted(shop.app, JobOutcome.CANCELLED) == 1_003
        changes = await shop.app.broker.list_changes()  # type: ignore[attr-defined]
        assert [(change.what, change.subject, change.note) for change in changes] == [
            ("cancel 3 jobs", "jobs queue:exports", "wrong files"),
            ("cancel 1,000 jobs", "jobs queue:exports", "wrong files"),
        ]


async def test_jobs_that_came_after_the_preview_are_left_alone() -> None:
    """A person decides on the jobs that the preview could show, not on later ones."""
    shop = Shop()
    async with reading(shop.app) as reader:
        await shop.export.enqueue("seen")
        fields = {"verb": "cancel", "queue": "exports"}
        until = until_of(await reader.get("/jobs/change", **fields))
        later = await shop.export.enqueue("later")
        assert "1 job was cancelled." in (await reader.send("/jobs/change", until=until, **fields)).text
        assert await later.state() == "pending"


async def test_retries_are_counted_as_entering_their_queue() -> None:
    """A job that is put back enters its queue once more: from its page, from a list, and by a filter."""
    shop = Shop()
    async with reading(shop.app) as reader:
        jobs = await shop.app.enqueue_many([shop.export.call(f"file{number}") for number in range(4)])
        for job in jobs:
            await job.cancel()
        before = await counted(shop.app, JobOutcome.ENQUEUED)
        await reader.send(f"/jobs/exports/{jobs[0].id}/retry")
        await reader.send("/jobs", verb="retry", job=f"exports/{jobs[1].id}")
        fields = {"verb": "retry", "queue": "exports", "state": "cancelled"}
        page = await reader.send("/jobs/change", until=until_of(await reader.get("/jobs/change", **fields)), **fields)
        assert "2 jobs were put back." in page.text
        assert await counted(shop.app, JobOutcome.ENQUEUED) == before + 4
        assert {await job.state() for job in jobs} == {"pending"}


async def test_job_with_a_long_id_is_changed_and_recorded() -> None:
    """The record of a change has room for every id: what is too long is cut."""
    shop = Shop()
    async with reading(shop.app) as reader:
        job = await shop.export.options(job_id="j" * 200).enqueue("file")
        page = await reader.send(f"/jobs/exports/{job.id}/cancel")
        assert "The job was cancelled." in page.text
        assert "Changes by people" in page.text


async def test_list_of_a_state_has_every_job_on_one_page() -> None:
    """Each page has the next jobs of each queue, so that none is left out and none comes twice."""
    shop = Shop()
    async with reading(shop.app) as reader:
        jobs = await shop.app.enqueue_many(
            [*(shop.export.call(f"file{number}") for number in range(70)), *(shop.send.call(f"{number}@example.org") for number in range(40))]
        )  # fmt: skip
        seen: list[str] = []
        number = 1
        while found := re.findall(
            r'name="job" value="[^/]+/([^"]+)"', await reader.get("/jobs", state="pending", page=str(number))
        ):
            seen += found
            number += 1
        assert sorted(seen) == sorted(job.id for job in jobs)
        assert "Choose a state to see all of its jobs." in await reader.get("/jobs")


async def test_many_queues_are_bounded_and_said_so() -> None:
    """With more queues than a page can look at, the list says which are left out, and a queue can be typed."""
    shop = Shop()
    async with reading(shop.app) as reader:
        template = shop.send.call("a@example.org").job
        await shop.app.broker.enqueue([replace(template, id=new_id(), queue=f"q{number:03}") for number in range(230)])
        page = await reader.get("/jobs")
        assert "Only the 10 queues with the most jobs are shown" in page
        assert '<input id="queue" type="text"' in page
        assert (await reader.get("/queues")).count("up</td>") == 50
        assert "q229" in await reader.get("/queues", q="Q229")
        assert "q229" in await reader.get("/jobs", queue="q229")
