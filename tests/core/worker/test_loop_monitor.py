# pyright: reportPrivateUsage=false
"""A task that blocks the event loop: it is told, by name, and what a thread can do for its lease is done."""

from __future__ import annotations

import asyncio
import contextvars
import logging
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
from aioq.worker.leases import LeaseTable
from aioq.worker.loop_monitor import Culprit, LoopMonitor, current_job, find_culprit
from tests.core.brokers import FlakyBroker
from tests.core.rig import record_of, until, working
from tests.core.worker.test_duties import lease


@pytest.fixture
def anyio_backend() -> str:
    """Threads watch over asyncio only."""
    return "asyncio"


def threads() -> list[str]:
    """Return the names of our threads."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("aioq")]


# The warning


async def test_a_blocked_loop_is_told_with_job_and_stack(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """Between one and two seconds after it began, once, and again when it is over."""
    times: list[float] = []

    @app.task(name="heavy")
    async def heavy(_: object) -> None:
        times.append(time.time())
        time.sleep(2.5)  # noqa: ASYNC251  # the very point

    async with working(app):
        job = await heavy.enqueue()
        await job.result(timeout=10)
        await until(lambda: "runs again" in caplog.text)
    told, over = [record for record in caplog.records if "event loop" in record.getMessage()]
    assert f"by job {job.id} of heavy" in told.getMessage()
    assert f"job {job.id} of heavy blocked it for 2." in over.getMessage()
    assert (told.levelno, told.job_id) == (logging.WARNING, job.id)  # type: ignore[attr-defined]
    assert told.stack_info is not None
    assert "time.sleep(2.5)" in told.stack_info
    assert 1 <= told.created - times[0] < 2
    assert told.getMessage().isprintable()


async def test_a_loop_that_comes_round_is_left_in_peace(app: Aarq, caplog: pytest.LogCaptureFixture) -> None:
    """Jobs that take long without blocking are nobody's business; in the end no thread is left."""

    @app.task
    async def polite(_: object) -> None:
        for _ in range(16):
            time.sleep(0.1)  # noqa: ASYNC251  # less than what counts
            await anyio.lowlevel.checkpoint()

    async with working(app):
        await (await polite.enqueue()).result(timeout=10)
        assert "aioq loop monitor" in threads()
    assert caplog.messages == []
    assert threads() == []


def seen_from_a_thread(block: Callable[[Callable[[], None]], Any]) -> Culprit:
    """Run `block` in a loop; the function that it is given returns when another thread has looked."""
    found: list[Culprit] = []

    async def main() -> None:
        loop, ident = asyncio.get_running_loop(), threading.get_ident()

        def be_seen() -> None:
            looker = threading.Thread(target=lambda: found.append(find_culprit(loop, ident)))
            looker.start()
            looker.join()

        await block(be_seen)

    asyncio.run(main())
    return found[0]


def test_a_task_that_a_job_started_is_the_jobs() -> None:
    """What blocks need not be the job's own body."""

    async def block(be_seen: Callable[[], None]) -> None:
        async def part() -> None:
            be_seen()

        current_job.set(lease("j1"))
        await asyncio.create_task(part(), name="part")

    culprit = seen_from_a_thread(block)
    assert str(culprit) == "job j1 of t"
    assert ", in part\n" in culprit.stack


def test_a_callback_of_a_job_is_the_jobs() -> None:
    """A callback runs in no task, and in the context in which it was asked for."""

    async def block(be_seen: Callable[[], None]) -> None:
        done = asyncio.Event()

        def callback() -> None:
            be_seen()
            done.set()

        current_job.set(lease("j1"))
        asyncio.get_running_loop().call_soon(callback)
        await done.wait()

    assert str(seen_from_a_thread(block)) == "job j1 of t"


def test_what_belongs_to_no_job_is_named_by_its_task() -> None:
    """A cron, for example; the task's name cannot break the line."""

    async def block(be_seen: Callable[[], None]) -> None:
        async def cron() -> None:
            be_seen()

        await asyncio.create_task(cron(), name="cron\nx")

    assert str(seen_from_a_thread(block)) == "the task cron\\nx"


def test_what_belongs_to_nobody_is_said_to() -> None:
    """A callback outside every job."""

    async def block(be_seen: Callable[[], None]) -> None:
        done = asyncio.Event()

        def callback() -> None:
            be_seen()
            done.set()

        asyncio.get_running_loop().call_soon(callback, context=contextvars.Context())
        await done.wait()

    assert str(seen_from_a_thread(block)) == "a callback that belongs to no job"


# The leases


class Connection:
    """Extends leases of nobody, or not, as a test says."""

    def __init__(self) -> None:
        self.extended: list[list[Lease]] = []
        self.lost: list[Lease] = []
        self.error: Exception | None = None
        self.closed = 0

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Note the call, and what thread made it."""
        assert threading.current_thread() is not threading.main_thread()
        self.extended.append(list(leases))
        if self.error:
            raise self.error
        return self.lost

    def close(self) -> None:
        """Note it."""
        self.closed += 1


class Threaded(FlakyBroker):
    """A broker that is extended from a thread."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection()

    def keeper(self) -> Connection:
        """Return the one there is."""
        return self.connection


def in_blocked_loop(condition: Callable[[], object], seconds: float = 8) -> None:
    """Block the event loop until something has come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


async def test_leases_are_extended_while_the_loop_is_blocked() -> None:
    """Three times in a lease, by a thread, and not by the loop as well."""
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
    assert broker.connection.closed
    assert threads() == []


async def test_every_lease_is_extended_in_one_call() -> None:
    """Those of all jobs that run, however many there are."""
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


async def test_an_old_lease_that_is_lost_leaves_a_new_run_alone() -> None:
    """The thread may learn late of a lease whose job has been claimed anew since."""
    broker = Threaded()
    app = Aarq(broker)
    release = anyio.Event()

    @app.task(name="long")
    async def long(ctx: dict[str, Any]) -> str:
        current = broker._table.jobs[ctx["job_id"]].lease()
        broker.connection.lost = [replace(current, epoch=current.epoch - 1)]
        await release.wait()
        return "ended"

    async with working(app, lease=1):
        job = await long.enqueue()
        await until(lambda: len(broker.connection.extended) >= 2)
        release.set()
        assert await job.result(timeout=5) == "ended"
    assert (await record_of(broker, job.id)).attempt == 1


async def test_a_lease_lost_in_the_thread_ends_the_run_in_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """The body is cancelled in its own loop, and the log says so."""
    broker = Threaded()
    app = Aarq(broker)
    cancelled = asyncio.Event()

    @app.task(name="long")
    async def long(ctx: dict[str, Any]) -> None:
        broker.connection.lost = (broker._table.jobs[ctx["job_id"]].lease(),)  # type: ignore[assignment]
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with working(app, lease=1):
        job = await long.enqueue()
        await cancelled.wait()
    assert f"the lease of job {job.id} of long was lost; its run here is cancelled" in caplog.messages


async def test_a_block_that_does_not_end_loses_its_leases(caplog: pytest.LogCaptureFixture) -> None:
    """Beyond `max_block` nothing is extended, which is said once; when the loop goes on it is, at once."""
    broker = Threaded()
    app = Aarq(broker)
    counts: list[int] = []

    def told() -> int:
        return sum("no longer extended" in message for message in caplog.messages)

    @app.task(name="heavy")
    async def heavy(_: object) -> None:
        in_blocked_loop(lambda: told() == 1)
        counts.append(len(broker.connection.extended))
        time.sleep(1)  # noqa: ASYNC251  # three beats
        counts.append(len(broker.connection.extended))
        await until(lambda: len(broker.connection.extended) > counts[1])

    async with working(app, lease=1, max_block=1.5):
        await (await heavy.enqueue()).result(timeout=10)
    assert counts[0] == counts[1] >= 4
    assert told() == 1
    assert "blocked for more than 1.5 s: the leases of 1 jobs are no longer extended" in caplog.text


async def test_a_keeper_in_trouble_goes_on_and_tells_before_it_is_too_late(caplog: pytest.LogCaptureFixture) -> None:
    """Failures are repeated; when two thirds of a lease have passed they are told, and when they are over, too."""
    table, connection = LeaseTable(), Connection()
    table.add([lease("j")])
    connection.error = BrokerUnavailable("connection refused\n")
    keeper = LeaseThread(connection, table, LoopMonitor(), lease=1, max_block=60)
    keeper.start(lambda _: None)
    await until(lambda: "could not be extended" in caplog.text)
    connection.error = None
    await until(lambda: "leases are extended again" in caplog.messages)
    keeper.stop()
    assert len(connection.extended) > 3
    assert "the leases of 1 jobs could not be extended for " in caplog.text
    assert all(record.getMessage().isprintable() for record in caplog.records)


async def test_a_short_trouble_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """An outage that does not reach the end of a lease is the retry's to tell."""
    table, connection = LeaseTable(), Connection()
    table.add([lease("j")])
    connection.error = BrokerUnavailable("connection refused")
    keeper = LeaseThread(connection, table, LoopMonitor(), lease=3, max_block=60)
    keeper.start(lambda _: None)
    await until(lambda: connection.extended)
    connection.error = None
    await until(lambda: len(connection.extended) > 1)
    keeper.stop()
    assert caplog.messages == []


async def test_a_keeper_that_hangs_does_not_hold_the_worker() -> None:
    """Its thread is told to end by closing the connection, and is a daemon in any case."""
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
