# pyright: reportPrivateUsage=false
"""The thread that extends leases while the event loop is blocked."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from aioq import Aarq
from aioq.errors import BrokerUnavailable
from aioq.model.job import Lease
from aioq.protocols import ThreadedLeases
from aioq.worker.heartbeat import LeaseThread
from aioq.worker.loop_monitor import LoopMonitor
from aioq.worker.workload import LeaseTable
from tests.core.brokers import FlakyBroker
from tests.core.rig import lease, record_of, threads, until, working


@pytest.fixture
def anyio_backend() -> str:
    """These threads run on asyncio only."""
    return "asyncio"


class Connection:
    """A connection that records calls and answers what the test sets."""

    def __init__(self) -> None:
        self.extended: list[list[Lease]] = []
        self.lost: list[Lease] = []
        self.error: Exception | None = None
        self.closed = 0

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Record the call, which another thread must make."""
        assert threading.current_thread() is not threading.main_thread()
        self.extended.append(list(leases))
        if self.error:
            raise self.error
        return self.lost

    def close(self) -> None:
        """Record the call."""
        self.closed += 1


class Threaded(FlakyBroker):
    """A broker whose leases a thread extends."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection()

    def keeper(self, *, timeout: float = 5.0) -> Connection:
        """Return the one connection, and note its timeout."""
        self.timeout = timeout
        return self.connection


def in_blocked_loop(condition: Callable[[], object], seconds: float = 8) -> None:
    """Block the event loop until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.01)


async def test_lease_thread_blocked_loop_extends_leases() -> None:
    """The thread extends the leases three times per lease, and the loop does not extend them as well."""
    broker = Threaded()
    app = Aarq(broker)
    assert isinstance(broker, ThreadedLeases)

    @app.task(name="heavy")
    async def heavy(_: object) -> None:
        in_blocked_loop(lambda: len(broker.connection.extended) >= 3)

    async with working(app, lease=1):
        job = await heavy.enqueue()
        await job.result(timeout=10)
    assert {held.job_id for leases in broker.connection.extended for held in leases} == {job.id}
    assert broker.calls["extend"] == 0
    assert broker.timeout == pytest.approx(1 / 3)
    assert broker.connection.closed
    assert threads() == []


async def test_lease_thread_extends_all_leases_in_one_call() -> None:
    """One call extends the leases of all running jobs."""
    broker = Threaded()
    app = Aarq(broker)
    release = anyio.Event()

    @app.task(name="long")
    async def long(_: object) -> None:
        await release.wait()

    async with working(app, lease=1):
        jobs = await long.enqueue_many(long.call() for _ in range(5))
        await until(lambda: broker.connection.extended)
        release.set()
        assert {held.job_id for held in broker.connection.extended[0]} == {job.id for job in jobs}


async def test_lease_thread_old_lost_lease_keeps_new_run() -> None:
    """A lost lease of an earlier run does not cancel the run under the current lease."""
    broker = Threaded()
    app = Aarq(broker)
    release = anyio.Event()

    @app.task(name="long")
    async def long(ctx: dict[str, Any]) -> str:
        current = broker._table.jobs["default", ctx["job_id"]].lease()
        broker.connection.lost = [replace(current, epoch=current.epoch - 1)]
        await release.wait()
        return "ended"

    async with working(app, lease=1):
        job = await long.enqueue()
        await until(lambda: len(broker.connection.extended) >= 2)
        release.set()
        assert await job.result(timeout=5) == "ended"
    assert (await record_of(broker, job.id)).attempt == 1


async def test_lease_thread_lost_lease_cancels_run_in_loop(caplog: pytest.LogCaptureFixture) -> None:
    """The task is cancelled in its own event loop, and the log says so."""
    broker = Threaded()
    app = Aarq(broker)
    cancelled = asyncio.Event()

    @app.task(name="long")
    async def long(ctx: dict[str, Any]) -> None:
        broker.connection.lost = (broker._table.jobs["default", ctx["job_id"]].lease(),)  # type: ignore[assignment]
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with working(app, lease=1):
        job = await long.enqueue()
        await cancelled.wait()
    assert f"the lease of job {job.id} of long was lost; its run here is cancelled" in caplog.messages


async def test_lease_thread_block_over_max_block_stops_extending(caplog: pytest.LogCaptureFixture) -> None:
    """After `max_block` the thread stops extending, logs that once, and goes on as soon as the loop runs again."""
    broker = Threaded()
    app = Aarq(broker)
    counts: list[int] = []

    def logged() -> int:
        return sum("no longer extended" in message for message in caplog.messages)

    @app.task(name="heavy")
    async def heavy(_: object) -> None:
        in_blocked_loop(lambda: logged() == 1)
        counts.append(len(broker.connection.extended))
        time.sleep(1)  # noqa: ASYNC251  # three beats
        counts.append(len(broker.connection.extended))
        await until(lambda: len(broker.connection.extended) > counts[1])

    async with working(app, lease=1, max_block=1.5):
        await (await heavy.enqueue()).result(timeout=10)
    assert counts[0] == counts[1] >= 4
    assert logged() == 1
    assert "blocked for more than 1.5 s: the leases of 1 jobs are no longer extended" in caplog.text


async def test_lease_thread_failures_are_logged_before_expiry(caplog: pytest.LogCaptureFixture) -> None:
    """Failures are retried, logged before a lease runs out, and logged again when they are over."""
    table, connection = LeaseTable(), Connection()
    table.add([lease("j")])
    connection.error = BrokerUnavailable("connection refused\n")
    thread = LeaseThread(connection, table, LoopMonitor(), lease=1, max_block=60)
    thread.start(lambda _: None)
    await until(lambda: "could not be extended" in caplog.text)
    connection.error = None
    await until(lambda: "leases are extended again" in caplog.messages)
    thread.stop()
    assert len(connection.extended) >= 3
    logged = re.search(r"the leases of 1 jobs could not be extended for ([\d.]+) s", caplog.text)
    assert logged
    assert 0.5 <= float(logged[1]) < 1
    assert all(record.getMessage().isprintable() for record in caplog.records)


async def test_lease_thread_short_failure_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A failure that endangers no lease is not logged here: `BrokerRetry` logs the outage."""
    table, connection = LeaseTable(), Connection()
    table.add([lease("j")])
    connection.error = BrokerUnavailable("connection refused")
    thread = LeaseThread(connection, table, LoopMonitor(), lease=3, max_block=60)
    thread.start(lambda _: None)
    await until(lambda: connection.extended)
    connection.error = None
    await until(lambda: len(connection.extended) > 1)
    thread.stop()
    assert caplog.messages == []


async def test_lease_thread_hanging_call_does_not_block_stop() -> None:
    """Closing its connection ends a thread that hangs, and it is a daemon in any case."""
    broker = Threaded()
    app = Aarq(broker)
    hung, released = threading.Event(), threading.Event()

    def hang(leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        hung.set()
        released.wait()
        raise BrokerUnavailable("closed")

    broker.connection.extend = hang  # type: ignore[method-assign]
    broker.connection.close = released.set  # type: ignore[method-assign]

    @app.task
    async def work(_: object) -> None:
        await until(hung.is_set)

    async with working(app, lease=1):
        await (await work.enqueue()).result(timeout=10)
        assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("aioq"))
    assert threads() == []
