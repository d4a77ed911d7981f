"""The job that runs is in the log records of its code, also in threads and in tasks that it starts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from aioq import Aarq, JobFilter, current_job
from tests.core.rig import drain

logger = logging.getLogger("myapp")


@pytest.fixture
def filtered(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Records that have passed the filter."""
    caplog.set_level(logging.INFO)
    job_filter = JobFilter()
    caplog.handler.addFilter(job_filter)
    yield caplog
    caplog.handler.removeFilter(job_filter)


async def test_filter_names_the_running_job(app: Aarq, filtered: pytest.LogCaptureFixture) -> None:
    """Records of a coroutine, of a task that it starts, and of a plain function in a thread name their job."""

    async def child() -> None:
        logger.info("child")

    @app.task(name="async")
    async def coroutine(_: object) -> None:
        logger.info("coroutine")
        async with anyio.create_task_group() as tg:
            tg.start_soon(child)

    @app.task(name="plain")
    def plain(_: object) -> None:
        logger.info("plain")

    one, other = await coroutine.enqueue(), await plain.enqueue()
    await drain(app, id="w1")
    seen = {record.getMessage(): vars(record) for record in filtered.records if record.name == "myapp"}
    named = {text: (each["job_id"], each["task"], each["attempt"], each["worker_id"]) for text, each in seen.items()}
    assert named == {
        "coroutine": (one.id, "async", 1, "w1"),
        "child": (one.id, "async", 1, "w1"),
        "plain": (other.id, "plain", 1, "w1"),
    }


def test_filter_outside_of_a_job_adds_empty_attributes(filtered: pytest.LogCaptureFixture) -> None:
    """A format with `%(job_id)s` works for all records; one that is about another job keeps its id."""
    logger.info("outside")
    logger.info("about", extra={"job_id": "b"})
    first, second = map(vars, filtered.records)
    assert (first["job_id"], first["task"], first["attempt"]) == ("", "", 0)
    assert (second["job_id"], second["task"], second["attempt"]) == ("b", "", 0)


async def test_filter_leaves_what_a_record_has(app: Aarq, filtered: pytest.LogCaptureFixture) -> None:
    """A record that is about a queue, or about another job, is not given the queue of the running job."""

    @app.task(name="t")
    async def work(_: object) -> None:
        logger.info("queue", extra={"queue": "q"})
        logger.info("other", extra={"job_id": "b"})

    job = await work.enqueue()
    await drain(app, id="w1")
    seen = {record.getMessage(): vars(record) for record in filtered.records if record.name == "myapp"}
    named = {text: (each["job_id"], each["task"], each["queue"], each["worker_id"]) for text, each in seen.items()}
    assert named == {"queue": (job.id, "t", "q", "w1"), "other": ("b", "", "", "w1")}


async def test_current_job_is_the_lease_of_the_running_job(app: Aarq) -> None:
    """`current_job` has the job in its task, and nothing outside."""
    seen: list[Any] = []

    @app.task(name="t")
    async def work(_: object) -> None:
        seen.append(current_job.get())

    job = await work.enqueue()
    await drain(app)
    assert [(one.job_id, one.task, one.queue) for one in seen] == [(job.id, "t", "default")]
    assert current_job.get() is None
