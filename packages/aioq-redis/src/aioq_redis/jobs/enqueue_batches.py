"""Sends the jobs of one queue to the server: concurrent enqueue calls share a script call.

A call made while no other is in flight is sent at once. Calls made while others are in flight are sent together in the
next iteration of the event loop, as one `Batch`. Every time a batch is sent it gets a new number, so that the script
can tell a repetition from a request that was held up on its way; see `deduplication.py` for what that is good for.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from os import getpid
from typing import Any, Final, TypeAlias

from aioq.model.ids import new_id
from aioq_redis.client.client import Retry
from aioq_redis.client.connection import pack
from aioq_redis.client.errors import ConnectionLost, ErrorReply
from aioq_redis.client.pipeline import SHORT, Command, script_call
from aioq_redis.client.session import Session
from aioq_redis.jobs.deduplication import ARGS_PER_JOB, Doubts, Place, Request, format_places
from aioq_redis.role import ADD_EVERY, KnownQueues
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.scripts import load

__all__ = ["EnqueueBatcher"]

logger = logging.getLogger("aioq.redis")

MAX_IN_FLIGHT: Final = 16
"""Batches of a queue that wait for a reply; further calls are collected until there is one."""

MAX_JOBS: Final = 1000
"""Jobs in a batch, after which the next call begins another one."""

MAX_REFUSALS: Final = 10
"""Empty answers to one batch after which the client takes another name: the memo on the server must be damaged."""

LONE_ARGUMENTS: Final = 4
"""Arguments of `lua/jobs/enqueue_one.lua`."""

LONE_HEAD: Final = len(f"*{LONE_ARGUMENTS}\r\n")

Call: TypeAlias = tuple[asyncio.Future[list[int]], int, int, float]
"""One enqueue call in a batch: the future for its part of the reply, its first job and the one after its last, and the
moment at which it times out."""


@dataclass(slots=True, eq=False, kw_only=True)
class Batch(Command):
    """The jobs of one or more enqueue calls, in one script call.

    A lone job that is due at once is sent by the cheaper script `enqueue_one`. If that script cannot decide, it stores
    nothing, and the batch is sent again by `enqueue`.
    """

    batcher: EnqueueBatcher
    request: Request
    jobs: list[object]
    """Id, plan and record of each job."""
    calls: list[Call]
    in_doubt: list[tuple[int, list[Place]]]
    """Jobs that earlier requests may have stored."""
    size: int = 0
    """The number of jobs."""
    refusals: int = 0
    """Empty answers so far."""
    lone: bool = True
    """Whether it may be sent by `enqueue_one`."""
    deadline: float = math.inf
    """The earliest moment at which one of the calls times out."""

    def awaited(self) -> bool:
        """Return True: a batch is sent even if all callers are cancelled, so that an enqueue is finished once begun."""
        return True

    def packed(self) -> bytes:
        """Return the bytes to send, under a new number each time."""
        withdrawn = self._withdrawn() if self.request.number else ""
        number, unheard = self.batcher.number(self.request)
        plain = self.size == 1 and len(str(self.jobs[1])) == 1
        self.lone = self.lone and plain and not self.in_doubt and not withdrawn
        if self.lone:
            job_id, plan, record = self.jobs
            arguments = pack((job_id, record, number, unheard))[LONE_HEAD:]
            self.whole = self.whole or len(arguments) > SHORT
            return self.batcher.lone_head(plan, self.whole) + arguments
        head = ("store", number, unheard, format_places(self.in_doubt) + withdrawn)
        rest = (len(self.keys), *self.keys, *head, *self.jobs)
        data = pack((*script_call(self.batcher.script, self.whole), *rest))
        if len(data) <= SHORT or self.whole:
            return data
        self.whole = True
        return pack((*script_call(self.batcher.script, self.whole), *rest))

    def _withdrawn(self) -> str:
        """Return the jobs that the script must not store any more, as `lua/jobs/enqueue.lua` takes them.

        The batch was sent before, and the script stored nothing. A caller that was cancelled since may have repeated
        its call in another batch that overtook this one. Its jobs may have run and ended by now.
        """
        gone = [at for future, first, last, _ in self.calls if future.done() for at in range(first, last)]
        return "".join([f"{at + 1}:x;" for at in gone])

    def answer(self, reply: Any) -> None:
        """Give each caller its part of the reply. If the script stored nothing, send the batch again."""
        if not reply:
            # The lone script could not decide, or a later number came first.
            self.refusals += 1
            if self.refusals % MAX_REFUSALS == 0:
                self.batcher.change_name(self)
            self.lone = False
            self.whole = False
            self.batcher.session.durable.submit(self)
            return
        self.batcher.finish(self)
        answers: list[int] = [reply] if self.lone else reply
        for future, first, last, _ in self.calls:
            if not future.done():
                future.set_result(answers[first:last])

    def fail(self, error: Exception) -> None:
        """Raise the error in each caller; each gets its own copy, as a traceback grows where an error is raised."""
        self.batcher.finish(self)
        for future, *_ in self.calls:
            if not future.done():
                future.set_exception(type(error)(*error.args))

    def expire(self, now: float) -> None:
        """Raise `TimeoutError` in the calls whose time is up; the others go on, and all may still be answered.

        While bytes of the batch leave, or bytes of its reply arrive, no time is up.
        """
        alive_until = self.batcher.session.durable.alive_until(self)
        self.deadline = math.inf
        for future, _, _, deadline in self.calls:
            if deadline > now:
                self.deadline = min(self.deadline, deadline)
            elif alive_until > now:
                self.deadline = min(self.deadline, alive_until)
            elif not future.done():
                future.set_exception(TimeoutError())


class EnqueueBatcher:
    """Stores the jobs of one queue: batches calls, numbers requests, and repeats for a while what failed.

    Args:
        queue: The queue.
        database: The server.
        layout: The keys.
        known_queues: Where the queue is added.

    Attributes:
        session: The connections over which batches are sent.
        script: The script `enqueue`.
        users: Calls that will use it again, besides those in its batches.
    """

    def __init__(self, queue: str, database: Database, layout: Layout, known_queues: KnownQueues) -> None:
        self.session: Session = database.session
        self.script = load("enqueue")
        self._queue = queue
        self._database = database
        self._layout = layout
        self._known_queues = known_queues
        self._waiting: deque[Batch] = deque()
        self._in_flight: set[Batch] = set()
        self._flush_is_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self.users = 0
        self._become_client()

    async def store(self, jobs: Sequence[object], *, in_part: bool = False) -> list[int]:
        """Store jobs, and return the answer of the script for each of them; see `lua/jobs/enqueue.lua`.

        Args:
            jobs: Id, plan and record of each job.
            in_part: Whether they are a part of their enqueue call. If so, they stay in doubt until `settle` is called:
                if another part fails, the caller will repeat the call with all of its jobs.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: As for `Database.call`.
            NotReplicated: Too few replicas have the jobs.
        """
        session = self.session
        deadline = session.loop.time() + self._database.timeout
        retry: Retry | None = None
        while True:
            try:
                return await self._send(jobs, deadline, in_part)
            except (ConnectionLost, ErrorReply, TimeoutError) as error:
                retry = retry or Retry("enqueue", session, deadline, self._find_mistyped)
                self.users += 1
                try:
                    await self._database.pause_before(retry, error)
                finally:
                    self.users -= 1

    def retire(self) -> bool:
        """Return whether another batcher can take its place: no call uses it, and no job is in doubt."""
        self.doubts.prune(self.session.loop.time())
        if self.users or self._in_flight or self._waiting or self.doubts.places:
            return False
        if self._timer is not None:
            self._timer.cancel()
        return True

    async def check(self, jobs: Sequence[object]) -> list[int]:
        """Return what the script would answer to `store`, and store nothing.

        Raises:
            BrokerUnavailable, BrokerConfigError: As for `Database.call`.
        """
        in_doubt = format_places(self.doubts.find(jobs, self.session.loop.time()))
        args = ["check", 0, "", in_doubt, *jobs]
        answers: list[int] = await self._database.call("enqueue", self._space, args, own=self._client)
        return answers

    def settle(self, jobs: Sequence[object]) -> None:
        """Note that the outcome of jobs that were stored `in_part` is known now: all parts of their call succeeded."""
        self.doubts.settle(jobs)

    async def _send(self, jobs: Sequence[object], deadline: float, in_part: bool) -> list[int]:
        """Send jobs once; see `store`.

        Raises:
            ConnectionLost, TimeoutError, ErrorReply, NotReplicated: There was no answer, or an error.
        """
        batch, first, future = self._join(jobs, deadline)
        try:
            reply = await future
        # An error reply is an answer: the script stored nothing, so no job is in doubt.
        except ErrorReply:
            self.hear(batch.request)
            raise
        # Also after a cancellation: the request may be on its way, and the caller may repeat it.
        except BaseException:
            self.doubts.add(batch.request, first, jobs, self.session.loop.time())
            raise
        if self.doubts.places:
            self.doubts.settle(jobs)
        if in_part:
            self.doubts.add(batch.request, first, jobs, self.session.loop.time())
        else:
            self.hear(batch.request)
        return reply

    def _join(self, jobs: Sequence[object], deadline: float) -> tuple[Batch, int, asyncio.Future[list[int]]]:
        """Put jobs into a batch; return it, the index of the first of them in it, and the future for their answers."""
        loop, waiting = self.session.loop, self._waiting
        batch = waiting[-1] if waiting and waiting[-1].size < MAX_JOBS else self._new_batch()
        first = batch.size
        if self.doubts.places:
            batch.in_doubt += [(first + at, places) for at, places in self.doubts.find(jobs, loop.time())]
        future: asyncio.Future[list[int]] = loop.create_future()
        batch.jobs += jobs
        batch.size = first + len(jobs) // ARGS_PER_JOB
        batch.calls.append((future, first, batch.size, deadline))
        batch.request.unheard += 1
        batch.deadline = min(batch.deadline, deadline)
        if deadline < self._timer_at:
            self._set_timer(deadline)
        if first == 0:
            if self._in_flight or waiting:
                waiting.append(batch)
                self._flush_soon()
            else:
                self._submit(batch)
        return batch, first, future

    def _new_batch(self) -> Batch:
        return Batch(
            self.script,
            self._keys,
            (),
            self.session.loop.create_future(),
            batcher=self,
            request=Request(),
            jobs=[],
            calls=[],
            in_doubt=[],
        )

    def _flush_soon(self) -> None:
        if not self._flush_is_due and len(self._in_flight) < MAX_IN_FLIGHT:
            self._flush_is_due = True
            self.session.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        while self._waiting and len(self._in_flight) < MAX_IN_FLIGHT:
            self._submit(self._waiting.popleft())

    def _submit(self, batch: Batch) -> None:
        self._in_flight.add(batch)
        added = self._known_queues.added.get(self._queue, -math.inf)
        if self.session.loop.time() - added >= ADD_EVERY:
            self._known_queues.add(self._queue, self.session)
        self.session.durable.submit(batch)

    def finish(self, batch: Batch) -> None:
        """Note that a batch has its reply, or will get none."""
        self._in_flight.discard(batch)
        if self._waiting:
            self._flush_soon()

    def number(self, request: Request) -> tuple[str, str]:
        """Give a request that is about to be sent a new number; return it and the numbers of the unheard requests.

        If the request has a number already, the script did nothing under it, and nothing need be known of it.
        """
        self._unheard.pop(request.number, None)
        unheard = " ".join(self._unheard)
        self._latest += 1
        request.number = f"{self._latest:012}"
        if request.unheard:
            self._unheard[request.number] = None
        return request.number, unheard

    def lone_head(self, plan: object, whole: bool) -> bytes:
        """Return the beginning of a packed call of `enqueue_one`; the plan of a job that is due is its priority."""
        head = self._lone_heads.get((plan, whole))
        if head is None:
            script = load("enqueue_one")
            names = tuple(name.replace("<priority>", str(plan)) for name in script.keys)
            keys = self._space.pick(names, self._client)
            # Keys and script are the same for each lone job of a priority, so these bytes are packed once.
            call = (*script_call(script, whole), len(keys), *keys)
            head = b"*%d\r\n" % (len(call) + LONE_ARGUMENTS) + pack(call).partition(b"\n")[2]
            self._lone_heads[plan, whole] = head
        return head

    def change_name(self, batch: Batch) -> None:
        """Send a batch under another name of this client, whose memo no program has written to.

        The server has no answers under that name: a job in doubt may be stored a second time.
        """
        if batch.keys is self._keys:
            logger.warning(
                "the memo %s has the answer to a request that was never sent: find the program that writes to it",
                self._space.key(f"memo:{self._client}"),
                extra={"event": "memo_forged"},
            )
            self._take_name()
        batch.keys = self._keys

    def hear(self, request: Request) -> None:
        """Note that one call of a request knows its outcome, or will not be repeated any more."""
        request.unheard -= 1
        if not request.unheard:
            self._unheard.pop(request.number, None)

    def _set_timer(self, moment: float) -> None:
        # One timer for all calls of the queue is cheaper than one for each call.
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.session.loop.call_at(moment, self._expire_calls)
        self._timer_at = moment

    def _expire_calls(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        now = self.session.loop.time()
        for batch in [batch for batch in (*self._in_flight, *self._waiting) if batch.deadline <= now]:
            batch.expire(now)
            if batch.deadline == math.inf and batch in self._waiting:
                # All its calls have failed, and it was never sent: it must not be stored after that.
                self._waiting.remove(batch)
        earliest = min((batch.deadline for batch in (*self._in_flight, *self._waiting)), default=math.inf)
        if earliest < math.inf:
            self._set_timer(earliest)

    def reopen(self) -> None:
        """Send over the connections of the running event loop from now on, as those so far have ended."""
        session = self._database.session
        if session.loop is not self.session.loop:
            # The callers ended with their loop.
            self._waiting.clear()
            self._in_flight.clear()
            self._flush_is_due = False
            self._timer = None
            self._timer_at = math.inf
        self.session = session
        if self._process != getpid():
            self._become_client()

    def _become_client(self) -> None:
        """Begin to number requests under a new name; a process that was forked must not go on under its parent's."""
        self._process = getpid()
        self._latest = 0
        # The numbers of requests whose answer some call has not heard.
        self._unheard: dict[str, None] = {}
        self.doubts = Doubts(self._unheard, self.hear)
        self._space = self._layout.queue(self._queue)
        self._take_name()

    def _take_name(self) -> None:
        # By chance, as a forked process would repeat a count.
        self._client = new_id()
        self._keys = self._space.pick(self.script.keys, self._client)
        self._lone_heads: dict[tuple[object, bool], bytes] = {}

    async def _find_mistyped(self) -> str:
        return await self._database.find_mistyped(self._space, self._keys)
