"""A worker that runs, and bad inputs for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from aioq import Aarq, Job
from aioq.model.job import JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq_redis import RedisBroker
from tests.redis.layout import keys_of

__all__ = ["MOMENT", "Bench"]

MOMENT = b"1764000000000"
"""When foreign jobs say that they were enqueued, in milliseconds."""

NEXT_JOB = 10.0
"""Seconds to wait for the next job: a queue that stops never runs it, and a busy machine may be slow."""

PATIENCE = 20.0


class Bench:
    """An app in a namespace of its own, whose worker is running, and the bare server behind it."""

    def __init__(self, app: Aarq, raw: Any, namespace: str, url: str, caplog: pytest.LogCaptureFixture) -> None:
        self.app, self.raw, self.namespace, self.url = app, raw, namespace, url
        self.ran: list[str] = []
        self._caplog = caplog
        self._task = app.task(name="decent")(self._decent)

    @property
    def broker(self) -> RedisBroker:
        """The broker of the app."""
        assert isinstance(self.app.broker, RedisBroker)
        return self.app.broker

    def key(self, name: str, queue: str = "default") -> str:
        """Return the full name of a key of a queue."""
        return f"{{{self.namespace}:{queue}}}:{name}"

    def keys(self) -> list[str]:
        """Return the names of all keys of the namespace that hold something of jobs."""
        return [key for key in keys_of(self.raw, self.namespace) if ":default}:" in key and "claim:" not in key]

    def plant(self, record: bytes, id: bytes = b"foreign", priority: int = 5) -> None:
        """Put a job in line as some other program would, byte by byte."""
        self.raw.hset(self.key("jobs"), id, record)
        self.raw.rpush(self.key(f"ready:{priority}"), id)

    async def next_job(self) -> None:
        """Insist that the worker is alive, and runs the next job within its time."""
        job = await self._task.enqueue()
        assert await job.result(timeout=NEXT_JOB) == "fine"

    async def in_state(self, state: JobState, id: str = "foreign") -> JobRecord:
        """Wait until a job is in a state, and return what is known of it."""
        await self.next_job()
        async with asyncio.timeout(PATIENCE):
            while True:
                record = await self.broker.get_job(id, queue="default")
                if record is not None and (record.state is state or record.state in FINAL_STATES):
                    assert record.state is state, record
                    return record
                await asyncio.sleep(0.01)

    async def dead(self, reason: str, id: str = "foreign") -> JobRecord:
        """Wait until a job is dead, for this reason."""
        record = await self.in_state(JobState.DEAD, id)
        assert record.reason == reason, record
        return record

    async def planted_is_dead(self, record: bytes, reason: str) -> None:
        """Plant a record and insist that its job becomes dead, with every byte kept."""
        self.plant(record)
        await self.dead(reason)
        kept = (await self.broker.list_dead_jobs("default"))[0]
        assert record.endswith(kept.payload)
        assert kept.payload
        assert await self.broker.retry_job("foreign", queue="default") is True
        await self.dead(reason)

    async def runs(self, body: Callable[..., Any], **options: Any) -> Job[Any]:
        """Enqueue a job of a task with this body, and insist that the next job runs as well."""
        job = await self.app.task(name=f"bad.{len(self.app.tasks)}", **options)(body).enqueue()
        await self.next_job()
        return job

    def logged(self, level: int = logging.DEBUG) -> list[str]:
        """Return what has been logged so far, at this level or a higher one."""
        return [record.getMessage() for record in self._caplog.records if record.levelno >= level]

    def assert_log_is_sound(self) -> None:
        """Insist that every message is one line and not endless, and that only errors of tasks have a traceback."""
        for record in self._caplog.records:
            assert record.getMessage().isprintable(), record
            assert len(record.getMessage()) < 1500, record
            of_task = getattr(record, "event", "") in ("job_failed", "job_retried")
            assert of_task or not record.exc_info, record

    async def _decent(self, _: object) -> str:
        return "fine"
