"""Waits for jobs, for results and for cancellations."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Collection, Sequence

import anyio
import msgspec

from aioq.clock import wait_until
from aioq.model.job import CancelledRun, Claim, ClaimRequest
from aioq.model.states import FINAL_STATES
from aioq_sqlite.claiming import claim, going_queues, has_work, next_due
from aioq_sqlite.database import Database, Role
from aioq_sqlite.jobs import find, result_name, update
from aioq_sqlite.listener import Listener
from aioq_sqlite.schedules import next_look
from aioq_sqlite.transaction import Transaction

__all__ = ["SignalsRole"]


class SignalsRole(Role):
    """Implements `aioq.protocols.Signals`, and the wait of `aioq.protocols.Schedules`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._listener = Listener(database.connect)

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: anyio.Event | None = None) -> Claim:
        """Claim as soon as a job is due; see `aioq.protocols.Signals.wait_and_claim`."""

        def look(transaction: Transaction) -> Claim | float:
            """Claim if there is work; else return when a job comes due."""
            if has_work(transaction, request):
                return claim(transaction, request)
            return _moment(transaction, next_due(transaction, going_queues(transaction, request.queues)))

        deadline = self._database.clock.monotonic() + timeout
        news = _News()
        # Before the first look: a job that is stored in between gives a signal.
        with self._listener.listening("work", request.queues, news.note):
            while True:
                found = await self._transact(look)
                if isinstance(found, Claim):
                    return found
                left = deadline - self._database.clock.monotonic()
                if left <= 0:
                    return await self._transact(lambda transaction: claim(transaction, request))
                await news.wait(self._database, min(left, found - self._database.clock.time()))

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; see `aioq.protocols.Signals.wait_for_result`."""

        def has_ended(transaction: Transaction) -> bool:
            row = find(transaction, queue, job_id)
            if row is None or row["state"] in FINAL_STATES:
                return True
            if not row["awaited"]:
                update(transaction, row, awaited=1)
            return False

        deadline = self._database.clock.monotonic() + timeout
        news = _News()
        with self._listener.listening("result", [result_name(queue, job_id)], news.note):
            while not await self._transact(has_ended):
                left = deadline - self._database.clock.monotonic()
                if left <= 0:
                    return False
                await news.wait(self._database, left)
            return True

    async def wait_for_schedules(self, queues: Sequence[str], tasks: Collection[str], *, timeout: float) -> None:
        """Wait until a schedule was put or is due; see `aioq.protocols.Schedules.wait_for_schedules`."""
        news = _News()
        if not self._database.has_snapshots:  # no thread may look for signals: the worker asks again
            await news.wait(self._database, min(timeout, 1.0))
            return
        with self._listener.listening("schedule", queues, news.note):
            due = await self._transact(lambda transaction: _moment(transaction, next_look(transaction, queues, tasks)))
            await news.wait(self._database, min(timeout, due - self._database.clock.time()))

    async def aborts(self, worker_id: str) -> AsyncIterator[CancelledRun]:
        """Yield the cancelled runs of a worker; see `aioq.protocols.Signals.aborts`."""
        # Unbounded, because the signals of the worker must not hold up those of others.
        send, receive = anyio.create_memory_object_stream[CancelledRun](math.inf)

        def note(body: bytes) -> None:
            if body:
                send.send_nowait(msgspec.json.decode(body, type=CancelledRun))

        with send, receive, self._listener.listening("cancelled", [worker_id], note):
            async for run in receive:
                yield run


def _moment(transaction: Transaction, due: float | None) -> float:
    """Return a moment instead of a number of seconds: the answer takes a while to come from the thread."""
    return math.inf if due is None else transaction.now + due


class _News:
    """Whether there was a signal since the latest look."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def note(self, _body: bytes) -> None:
        """Note a signal."""
        self._event.set()

    async def wait(self, database: Database, timeout: float) -> None:
        """Wait for a signal, for `timeout` seconds at most."""
        await wait_until(self._event, database.clock, timeout)
        self._event = anyio.Event()
