"""Signals of the operating system: the worker handles them unless the program does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from aioq import Aarq, Worker
from aioq.model.states import JobState
from tests.core.brokers import FlakyBroker
from tests.core.rig import until

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's"),
    pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="needs the main thread"),
]

STOPPING = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(autouse=True)
def _restored() -> Generator[None, None, None]:
    """Restore the handlers after the test."""
    before = {name: signal.getsignal(name) for name in STOPPING}
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


def run(backend: str, main: Callable[[], Any]) -> None:
    """Run an event loop of its own, as a program does."""

    async def bounded() -> None:
        with anyio.fail_after(10):
            await main()

    anyio.run(bounded, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", STOPPING)
def test_first_signal_drains(backend: str, name: signal.Signals) -> None:
    """The first signal drains: the running job ends, and no KeyboardInterrupt is raised."""
    app = Aarq(FlakyBroker())
    started, release = threading.Event(), threading.Event()

    @app.task
    def work(_: object) -> str:
        started.set()
        release.wait(5)
        return "ended"

    async def main() -> None:
        job = await work.enqueue()
        worker = Worker(app)
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            await anyio.to_thread.run_sync(started.wait)
            os.kill(os.getpid(), name)
            await until(lambda: worker._shutdown.requested)  # pyright: ignore[reportPrivateUsage]
            release.set()
        assert await job.result(timeout=5) == "ended"

    run(backend, main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", STOPPING)
def test_second_signal_aborts(backend: str, name: signal.Signals) -> None:
    """The second signal ends the grace, and the job is released."""
    app = Aarq(FlakyBroker())

    async def main() -> None:
        started = anyio.Event()

        @app.task
        async def work(_: object) -> None:
            started.set()
            await anyio.sleep_forever()

        job = await work.enqueue()
        worker = Worker(app)
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            await started.wait()
            os.kill(os.getpid(), name)
            await until(lambda: worker._shutdown.requested)  # pyright: ignore[reportPrivateUsage]
            os.kill(os.getpid(), name)
        assert await job.state() is JobState.PENDING

    run(backend, main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_signal_handler_of_program_is_kept(backend: str) -> None:
    """A handler that the program set before the worker stays, and gets the signal."""
    got: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: got.append(number))

    async def main() -> None:
        worker = Worker(Aarq(FlakyBroker()))
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            await anyio.wait_all_tasks_blocked()
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: got)
            assert not worker._shutdown.requested  # pyright: ignore[reportPrivateUsage]
            worker.stop()

    run(backend, main)
    assert got == [signal.SIGTERM]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ignored_signal_stays_ignored(backend: str) -> None:
    """An ignored SIGINT, as under nohup, stays ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def main() -> None:
        worker = Worker(Aarq(FlakyBroker()))
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            await anyio.wait_all_tasks_blocked()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            worker.stop()

    run(backend, main)


def test_signal_handler_of_loop_is_kept() -> None:
    """A handler that the program set in its asyncio loop stays, and gets the signal."""
    got: list[str] = []

    async def main() -> None:
        import asyncio

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, got.append, "term")
        worker = Worker(Aarq(FlakyBroker()))
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            await anyio.wait_all_tasks_blocked()
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: got)
            assert not worker._shutdown.requested  # pyright: ignore[reportPrivateUsage]
            worker.stop()

    run("asyncio", main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_handle_signals_false_sets_no_handlers(backend: str) -> None:
    """`handle_signals=False` sets no handlers."""

    async def main() -> None:
        before = [signal.getsignal(name) for name in STOPPING]
        worker = Worker(Aarq(FlakyBroker()), handle_signals=False)
        async with anyio.create_task_group() as tg:
            tg.start_soon(worker.run)
            await anyio.wait_all_tasks_blocked()
            assert [signal.getsignal(name) for name in STOPPING] == before
            worker.stop()

    run(backend, main)


def test_worker_outside_main_thread_sets_no_handlers() -> None:
    """A worker outside the main thread, where handlers cannot be set, runs without them."""
    errors: list[BaseException] = []

    async def main() -> None:
        await Worker(Aarq(FlakyBroker()), burst=True).run()

    def target() -> None:
        try:
            run("asyncio", main)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(10)
    assert errors == []
    assert not thread.is_alive()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_signal_handlers_are_restored_at_end(backend: str) -> None:
    """After the worker, signals have the handlers that they had before."""

    async def main() -> None:
        before = signal.getsignal(signal.SIGTERM)
        await Worker(Aarq(FlakyBroker()), burst=True).run()
        assert signal.getsignal(signal.SIGTERM) is before

    run(backend, main)
