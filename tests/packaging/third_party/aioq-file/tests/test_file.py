"""The file broker's URL and errors, and processes that share a file."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from aioq_file import FileBroker, database

from aioq import Aarq, BrokerConfigError, BrokerFull, BrokerUnavailable, JobState, Worker
from aioq.model.job import NewJob

TASKS = """
from aioq import Aarq

app = Aarq()

@app.task
def double(ctx, number: int) -> int:
    return 2 * number
"""


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[FileBroker]:
    """A connected broker on a file of its own."""
    broker = FileBroker((tmp_path / "jobs.db").as_uri())
    await broker.connect()
    yield broker
    await broker.close()


def test_app_finds_file_broker_by_scheme(tmp_path: Path) -> None:
    """The entry point `file` of the group `aioq.brokers` is enough for an app."""
    assert isinstance(Aarq((tmp_path / "jobs.db").as_uri()).broker, FileBroker)


@pytest.mark.parametrize("url", ["file://", "file:///", "file://host/jobs.db", "redis://localhost"])
def test_url_without_absolute_path_is_refused(url: str) -> None:
    """Only an absolute path on this host is accepted."""
    with pytest.raises(BrokerConfigError, match="absolute path"):
        FileBroker(url)


@pytest.mark.anyio
async def test_connect_to_unusable_file_raises_config_error(tmp_path: Path) -> None:
    """A folder, a file of another kind and a missing folder are errors after which a worker does not try again."""
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam, " * 100)
    for wrong in (tmp_path, tmp_path / "letter.txt", tmp_path / "nowhere" / "jobs.db"):
        with pytest.raises(BrokerConfigError):
            await FileBroker(wrong.as_uri()).connect()


@pytest.mark.anyio
async def test_locked_file_raises_broker_unavailable(
    broker: FileBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for the lock has a limit, and the call may be repeated."""
    monkeypatch.setattr(database, "PATIENCE", 0.01)
    other = FileBroker((tmp_path / "jobs.db").as_uri())
    await other.connect()
    with sqlite3.connect(tmp_path / "jobs.db", isolation_level=None) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerUnavailable, match="locked"):
            await other.queue_stats()
        blocker.execute("ROLLBACK")
    blocker.close()
    assert await other.queue_stats() == []
    await other.close()


@pytest.mark.anyio
async def test_enqueue_without_room_stores_nothing(broker: FileBroker) -> None:
    """A job that does not fit is refused, and no job of its batch is stored."""
    big = NewJob(id="big", task="t", queue="q", payload=b"x" * 1_000_000)
    file = broker._database  # pyright: ignore[reportPrivateUsage]
    await file.transact(lambda db: db.execute("PRAGMA max_page_count = 50"))
    with pytest.raises(BrokerFull, match="no room"):
        await broker.enqueue([NewJob(id="small", task="t", queue="q", payload=b""), big])
    assert await broker.get_job("small", queue="q") is None


@pytest.mark.anyio
async def test_call_before_connect_raises(broker: FileBroker) -> None:
    """A call without `connect` is an error."""
    await broker.close()
    with pytest.raises(BrokerUnavailable, match="not open"):
        await broker.enqueue([])


@pytest.mark.anyio
async def test_worker_retries_results_and_cancels(broker: FileBroker) -> None:
    """A worker in this process retries jobs, stores results and cancels jobs."""
    app = Aarq(broker)

    @app.task(retries=1, retry_delay=0)
    async def fetch(ctx: dict[str, int]) -> int:
        if ctx["attempt"] == 1:
            raise ConnectionError("not yet")
        return ctx["attempt"]

    fetched = await fetch.enqueue()
    called_off = await fetch.options(defer_by=60).enqueue()
    assert await called_off.cancel() is True
    worker = Worker(app, poll=0.01, handle_signals=False)
    async with anyio.create_task_group() as tg:
        tg.start_soon(worker.run)
        assert await fetched.result(timeout=10) == 2
        worker.stop()
    assert await called_off.state() is JobState.CANCELLED


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_client_and_worker_in_two_processes(tmp_path: Path) -> None:
    """A worker that the `aioq` command starts runs what this process enqueues; they share only the URL."""
    url = (tmp_path / "jobs.db").as_uri()
    (tmp_path / "tasks.py").write_text(TASKS)
    env = {**os.environ, "AIOQ_BROKER_URL": url, "PYTHONPATH": os.pathsep.join(sys.path)}
    async with Aarq(url) as app:

        @app.task(name="tasks.double")
        def double(ctx: object, number: int) -> int:
            raise NotImplementedError("the worker has the real one")

        job = await double.enqueue(21)
        worker = [sys.executable, "-m", "aioq", "worker", "tasks:app", "--burst"]
        with anyio.fail_after(30):
            done = await anyio.run_process(worker, env=env, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr.decode()
        assert await job.result(timeout=10) == 42
