"""A shop with jobs in every state, crons and workers, and its dashboard on a real port."""

from __future__ import annotations

import socket
import threading
import warnings
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import anyio
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal

from aioq import Aarq, CronWarning, Job, Retry, Worker
from aioq.backends import MemoryBroker
from aioq.model.cron import CronKey
from aioq.model.states import JobState
from aioq.model.statistics import Count, JobOutcome, Step, period_of
from aioq.protocols import Broker
from aioq_web import Access, Right, User, dashboard

__all__ = ["ALL_RIGHTS", "HOSTILE", "Shop", "Site", "on_port", "served"]

T = TypeVar("T")

ALL_RIGHTS = frozenset(Right)
HOSTILE = "<script>document.title = 'owned'</script><img src=//elsewhere.example/x onerror=alert(1)>\x1b[31m"
"""What an attacker may send as an argument, or an error may say."""


class Shop:
    """An app whose jobs end in every way."""

    def __init__(self, broker: Broker | None = None) -> None:
        self.app = Aarq(broker or MemoryBroker(), name="shop", tz="Europe/Berlin")
        task = self.app.task
        self.send = task(name="shop.send_receipt")(self._send)
        self.charge = task(name="shop.charge_card", queue="payments")(self._charge)
        self.sync = task(name="shop.sync_inventory", queue="imports", retries=3, retry_delay=600)(self._sync)
        self.index = task(name="shop.rebuild_search_index_for_storefront_and_all_partner_catalogues")(self._index)
        self.export = task(name="shop.export", queue="exports")(self._send)
        with warnings.catch_warnings():
            # The page shows what the warning says: the time is in the gap of a clock change.
            warnings.simplefilter("ignore", CronWarning)
            self.app.cron("30 2 * * *", name="shop.close_the_books", unique=True, queue="reports")(self._book)
        self.app.cron("0 9 * * 1-5", tz="America/New_York", name="shop.open_new_york", unique=True)(self._book)
        self.app.schedule(self.send, "0 6 * * *", name="shop.morning_mail", args=("all@example.org",))
        self.release = anyio.Event()

    async def fill(self) -> None:
        """Enqueue jobs for each state."""
        for number in range(6):
            await self.send.enqueue(f"ada{number}@example.org", token="hush")
        await self.charge.enqueue(HOSTILE)
        await self.sync.enqueue(7)
        await self.export.options(defer_by=3600).enqueue("later@example.org")
        for number in range(3):
            await self.export.enqueue(f"file{number}")
        await self._count()
        cancelled = await self.export.options(job_id="cancelled/job").enqueue("no")
        await cancelled.cancel()

    async def _count(self) -> None:
        """Count jobs of the latest three hours, as workers would have."""
        broker: Any = self.app.broker
        now = period_of(await broker.time(), Step.MINUTE)
        for number in range(180):
            start = now - 60 * number
            counts = [
                Count(
                    queue="default",
                    task="shop.send_receipt",
                    outcome=outcome,
                    start=start,
                    count=count,
                    wait=0.2 * count,
                )
                for outcome, count in (
                    (JobOutcome.COMPLETED, 300 + 7 * (number % 9)),
                    (JobOutcome.FAILED, max(0, 6 - abs(number - 50))),
                )
                if count
            ]
            await broker.add_counts(counts, reporter="shop", number=number + 1)

    async def _send(self, ctx: dict[str, Any], to: str, *, token: str = "") -> str:
        return f"sent to {to}"

    async def _charge(self, ctx: dict[str, Any], card: str) -> None:
        raise ValueError(f"card {card} was refused")

    async def _sync(self, ctx: dict[str, Any], page: int) -> None:
        raise Retry(f"page {page} is locked")

    async def _index(self, ctx: dict[str, Any]) -> None:
        await self.release.wait()

    async def _book(self, ctx: dict[str, Any]) -> None:
        """Do nothing: the tests do not wait until it is due."""


class Site:
    """A dashboard that is served, and the loop in which its app lives."""

    def __init__(self, shop: Shop, portal: BlockingPortal, url: str) -> None:
        self.shop = shop
        self.url = url
        self._portal = portal

    def call(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Return the result of a coroutine function, called in the loop of the app."""
        return self._portal.call(function, *args)

    def running_job(self) -> Job[None]:
        """Return a job that runs until the test ends."""

        async def start() -> Job[None]:
            job = await self.shop.index.enqueue()
            with anyio.fail_after(30):
                while await job.state() != "running":
                    await anyio.sleep(0.01)
            return job

        return self.call(start)

    def pause(self, name: str, queue: str, note: str) -> None:
        """Pause an entry as another person would."""
        broker: Any = self.shop.app.broker
        self.call(lambda: broker.pause_cron(CronKey(queue, name), note=note, by="ops"))


@contextmanager
def served(
    shop: Shop,
    *,
    access: Access | None = None,
    user: User | None = None,
    queues: tuple[str, ...] = ("default", "payments", "imports", "reports"),
) -> Generator[Site]:
    """Serve the dashboard of a shop, with a worker beside it that leaves out the queue `exports`."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        worker = Worker(shop.app, queues=queues, concurrency=4, handle_signals=False, grace=0)
        portal.call(shop.app.connect)
        portal.call(shop.fill)
        running = portal.start_task_soon(worker.run)
        stack.callback(running.result)
        stack.callback(lambda: portal.call(stop, worker, shop))
        portal.call(_settled, shop)
        yield Site(shop, portal, stack.enter_context(on_port(portal, shop.app, access=access, user=user)))


@contextmanager
def on_port(
    portal: BlockingPortal, app: Aarq, *, access: Access | None = None, user: User | None = None
) -> Generator[str]:
    """Serve the dashboard of an app in the loop of a portal; yield its address."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        config = uvicorn.Config(
            dashboard(app, access=access, local_user=user), log_level="warning", timeout_graceful_shutdown=1
        )
        server = Server(config)
        serving = portal.start_task_soon(server.serve, [listener])
        stack.callback(serving.result)
        stack.callback(setattr, server, "should_exit", True)
        assert server.is_up.wait(30)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class Server(uvicorn.Server):
    """A server that says when it accepts requests, and leaves signals to the tests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.is_up.set()


async def stop(worker: Worker, shop: Shop) -> None:
    """Let the running jobs end, and stop the worker."""
    shop.release.set()
    worker.stop()


EXPECTED = (("imports", JobState.RETRYING, 1), ("default", JobState.COMPLETED, 6), ("payments", JobState.FAILED, 1))


async def _settled(shop: Shop) -> None:
    """Wait until the jobs of `Shop.fill` have ended or wait for a retry."""
    broker: Any = shop.app.broker
    with anyio.fail_after(30):
        for queue, state, count in EXPECTED:
            while len(await broker.list_jobs(queue, state)) < count:
                await anyio.sleep(0.01)
