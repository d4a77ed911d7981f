"""The SQLite broker's URL, errors and commands, and workers that share a file."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import anyio
import pytest
from aioq_sqlite import SqliteBroker
from anyio.abc import Process

from aioq import Aarq, BrokerConfigError, BrokerFull, BrokerUnavailable
from aioq.conformance import supports
from aioq.errors import MigrationRequired
from aioq.model.cron import CronKey
from aioq.model.job import ClaimRequest, NewJob
from aioq.protocols import JobStore, Signals

TASKS = """
import os
from pathlib import Path

import anyio
from aioq import Aarq

app = Aarq(scheduler="plain")
here = Path(__file__).parent

@app.task(retries=1, retry_delay=0.01)
async def fetch(ctx) -> int:
    if ctx["attempt"] == 1:
        raise ConnectionError("not yet")
    return ctx["attempt"]

@app.task
async def survive(ctx) -> int:
    with (here / "started").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    if ctx["attempt"] == 1:
        await anyio.sleep(600)
    return ctx["attempt"]

@app.task
async def pulse(ctx, customer: int) -> None:
    with (here / f"pulses-{customer}").open("a") as file:
        file.write(f"{ctx['job_id']}\\n")

@app.cron("every 1s", unique=True, name="beat")
async def beat(ctx) -> None:
    with (here / "beats").open("a") as file:
        file.write(f"{ctx['scheduled_at'].isoformat()}\\n")
"""


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[SqliteBroker]:
    """A connected broker on a file of its own."""
    broker = SqliteBroker(f"sqlite://{tmp_path}/jobs.db")
    await broker.migrate()
    await broker.connect()
    yield broker
    await broker.close()


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """The environment of the commands: only the URL and the code are shared with them."""
    path = os.pathsep.join([str(tmp_path), *sys.path])
    return {**os.environ, "AIOQ_BROKER_URL": f"sqlite://{tmp_path}/jobs.db", "PYTHONPATH": path}


def test_app_finds_broker_by_scheme(tmp_path: Path) -> None:
    """The entry point `sqlite` of the group `aioq.brokers` is enough for an app."""
    app = Aarq(f"sqlite://{tmp_path}/jobs.db", broker_options={"synchronous": "full"})
    assert isinstance(app.broker, SqliteBroker)


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite://me:secret@host/jobs.db", "postgres://me:secret@host/db", "sqlite:///a?b"],
)
def test_url_without_absolute_path_is_refused(url: str) -> None:
    """Only an absolute path on this host is accepted; the message does not repeat what was given."""
    with pytest.raises(BrokerConfigError, match="absolute path") as caught:
        SqliteBroker(url)
    assert "secret" not in str(caught.value)


def test_unknown_synchronous_is_refused() -> None:
    """A word that SQLite would ignore is an error."""
    with pytest.raises(BrokerConfigError, match="normal or full, got 'off'"):
        SqliteBroker("sqlite:///jobs.db", synchronous="off")


@pytest.mark.anyio
async def test_connect_to_unusable_file_raises_config_error(tmp_path: Path) -> None:
    """A folder, a file of another kind and a missing file are errors after which a worker does not try again."""
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam, " * 100)
    for wrong in (tmp_path, tmp_path / "letter.txt"):
        with pytest.raises(BrokerConfigError):
            await SqliteBroker(f"sqlite://{wrong}").connect()
    with pytest.raises(MigrationRequired, match="aioq broker migrate"):
        await SqliteBroker(f"sqlite://{tmp_path}/new.db").connect()
    assert not (tmp_path / "new.db").exists()


@pytest.mark.anyio
async def test_file_of_newer_release_is_refused(broker: SqliteBroker, tmp_path: Path) -> None:
    """A release does not work on a schema that it does not know."""
    with sqlite3.connect(tmp_path / "jobs.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    other = SqliteBroker(f"sqlite://{tmp_path}/jobs.db")
    for call in (other.connect, other.missing_migrations, other.migrate):
        with pytest.raises(BrokerConfigError, match="update it"):
            await call()


@pytest.mark.anyio
async def test_locked_file_raises_broker_unavailable(tmp_path: Path, broker: SqliteBroker) -> None:
    """The wait for the lock has a limit, and the call may be repeated."""
    keeper = broker.keeper(timeout=0.02)
    assert keeper.extend([], seconds=1) == []
    with sqlite3.connect(tmp_path / "jobs.db", isolation_level=None) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(BrokerUnavailable, match="locked"):
            keeper.extend([], seconds=1)
        blocker.execute("ROLLBACK")
    blocker.close()
    assert keeper.extend([], seconds=1) == []
    keeper.close()


@pytest.mark.anyio
async def test_enqueue_without_room_stores_nothing(broker: SqliteBroker) -> None:
    """A job that does not fit is refused, and no job of its batch is stored."""
    big = NewJob(id="big", task="t", queue="q", payload=b"x" * 1_000_000)
    broker._database.transact(lambda transaction: transaction.execute("PRAGMA max_page_count = 60"))
    with pytest.raises(BrokerFull, match="no room"):
        await broker.enqueue([NewJob(id="small", task="t", queue="q", payload=b""), big])
    assert await broker.get_job("small", queue="q") is None


@pytest.mark.anyio
async def test_file_without_wal_has_no_signals(broker: SqliteBroker, tmp_path: Path) -> None:
    """Where SQLite offers no WAL, a worker polls, and is told why."""
    assert broker.unsupported() == {}
    await broker.close()
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as network:
        network.execute("PRAGMA journal_mode = DELETE")
    await broker.connect()
    assert "WAL" in broker.unsupported()[Signals]
    assert supports(broker, JobStore)
    assert not supports(broker, Signals)


@pytest.mark.anyio
async def test_call_before_connect_raises(broker: SqliteBroker) -> None:
    """A call without `connect` is an error."""
    await broker.close()
    with pytest.raises(BrokerUnavailable, match="not open"):
        await broker.enqueue([])


@pytest.mark.anyio
async def test_closed_broker_leaves_no_thread(broker: SqliteBroker) -> None:
    """`close` ends the thread that listens for signals, and a later wait starts another one."""
    for _ in range(2):
        assert await broker.wait_for_result("none", queue="q", timeout=1) is True
        assert (await broker.wait_and_claim(_request(), timeout=0.01)).leases == []
        await broker.close()
        assert broker._listener._thread is None
        await broker.connect()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_fleet_survives_kill_and_fires_cron_once(tmp_path: Path, environment: Mapping[str, str]) -> None:
    """Two workers share a file: one is killed, and the other runs its job, retries another, and fires each tick once.

    A schedule that is put while they run fires, too, each tick once.
    """
    (tmp_path / "tasks.py").write_text(TASKS)
    command = [sys.executable, "-m", "aioq", "worker", "tasks:app", "--lease", "2"]
    await anyio.run_process([sys.executable, "-m", "aioq", "broker", "migrate", "tasks:app"], env=environment)
    broker = SqliteBroker(environment["AIOQ_BROKER_URL"])
    async with Aarq(broker, scheduler="plain") as app:

        @app.task(name="tasks.fetch")
        def fetch(ctx: object) -> int:
            raise NotImplementedError("the workers have the real one")

        @app.task(name="tasks.survive")
        def survive(ctx: object) -> int:
            raise NotImplementedError("the workers have the real one")

        @app.task(name="tasks.pulse")
        def pulse(ctx: object, customer: int) -> None:
            raise NotImplementedError("the workers have the real one")

        killed, retried = await survive.enqueue(), await fetch.enqueue()
        async with _running(command, environment) as one, _running(command, environment) as another:
            victim = int(await _first_line(tmp_path / "started"))
            os.kill(victim, signal.SIGKILL)
            assert await retried.result(timeout=40) == 2
            assert await killed.result(timeout=40) == 2
            await _first_line(tmp_path / "beats")
            assert await app.schedules.put("c-7", pulse, "every 1s", args=(7,)) is True
            await _first_line(tmp_path / "pulses-7")
            survivor = another if one.pid == victim else one
            survivor.terminate()
            assert await survivor.wait() == 0
        history = await broker.tick_history(CronKey("default", "beat"))
    beats = (tmp_path / "beats").read_text().split()
    assert beats == sorted(set(beats)), "a tick was fired twice"
    assert len(history) >= len(beats)
    pulses = (tmp_path / "pulses-7").read_text().split()
    assert pulses == sorted(set(pulses)), "a tick of the schedule was fired twice"
    assert len((tmp_path / "started").read_text().split()) == 2


@asynccontextmanager
async def _running(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Process]:
    """Run a command until the end of the block."""
    process = await anyio.open_process(command, env=environment, stdout=None, stderr=None)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()


def _request() -> ClaimRequest:
    return ClaimRequest(worker_id="w", queues=("q",), limit=1, lease=10, request_id="r")


async def _first_line(file: Path) -> str:
    """Wait until a worker has written to a file."""
    path = anyio.Path(file)
    while not await path.exists() or "\n" not in await path.read_text():
        await anyio.sleep(0.05)
    return (await path.read_text()).splitlines()[0]
