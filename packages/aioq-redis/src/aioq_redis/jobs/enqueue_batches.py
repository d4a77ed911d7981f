"""What is on its way to one queue: calls that come while a script is under way share the next."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from aioq_redis.client.command import Command, script_call
from aioq_redis.client.connection import pack
from aioq_redis.client.errors import ErrorReply
from aioq_redis.client.session import Session
from aioq_redis.jobs.deduplication import FIELDS, Place, Request, Requests, shown
from aioq_redis.jobs.queue_names import Naming
from aioq_redis.storage.keys import KeySpace
from aioq_redis.storage.scripts import load

__all__ = ["Batch", "Outbox", "Target"]

MOST_UNDER_WAY: Final = 16
"""Scripts of a queue without an answer, after which calls wait for one: they go together then."""


class Outbox:
    """Sends what calls of one queue have to store, over the connections of one session.

    Args:
        queue: Its name.
        target: Where to send it.
        naming: Is told of the queue.
    """

    def __init__(self, queue: str, target: Target, naming: Naming) -> None:
        self._target = target
        self._queue, self._naming = queue, naming
        self._loop = target.session.loop
        self._waiting: deque[Batch] = deque()
        self._unanswered: set[Batch] = set()
        self._under_way = 0
        self._called = False
        self._watch: asyncio.TimerHandle | None = None
        self._alarm = math.inf

    async def ask(self, args: Sequence[object], deadline: float, *, in_part: bool = False) -> list[int]:
        """Have the jobs of one call stored, and return the answer for each.

        When `in_part` says that they are not all of their call, they stay in doubt until somebody
        settles them: when another part fails, the call will be repeated with all of its jobs.

        Raises:
            ConnectionLost, TimeoutError, ErrorReply, NotReplicated: It was not answered, or not so.
        """
        requests = self._target.requests
        batch, first, future = self._join(args, deadline)
        try:
            reply = await future
        except ErrorReply:
            requests.hear(batch.request)
            raise
        except BaseException:
            requests.doubt(batch.request, first, args, self._loop.time())
            raise
        if requests.doubtful:
            requests.settle(args)
        if in_part:
            requests.doubt(batch.request, first, args, self._loop.time())
        else:
            requests.hear(batch.request)
        return reply

    def _join(self, args: Sequence[object], deadline: float) -> tuple[Batch, int, asyncio.Future[list[int]]]:
        """Send jobs; return with what, which of it are theirs, and the future with the answers.

        A call that comes alone goes out at once. Whoever comes while others are under way, and
        before the loop comes round again, is on board of one script.
        """
        waiting = self._waiting
        if waiting and not waiting[-1].full():
            batch = waiting[-1]
        else:
            batch = Batch(self._target, self._done)
            self._unanswered.add(batch)
        first = batch.jobs
        future = batch.add(args, deadline)
        if deadline < self._alarm:
            self._watch_until(deadline)
        if first == 0:
            if self._under_way or waiting:
                waiting.append(batch)
                self._call()
            else:
                self._send(batch)
        return batch, first, future

    def _call(self) -> None:
        if not self._called and self._under_way < MOST_UNDER_WAY:
            self._called = True
            self._loop.call_soon(self._send_waiting)

    def _send_waiting(self) -> None:
        self._called = False
        while self._waiting and self._under_way < MOST_UNDER_WAY:
            self._send(self._waiting.popleft())

    def _send(self, batch: Batch) -> None:
        self._under_way += 1
        self._naming.name(self._queue, self._target.session)
        self._target.session.stores.submit(batch)

    def _done(self, batch: Batch) -> None:
        self._under_way -= 1
        self._unanswered.discard(batch)
        if self._waiting:
            self._call()

    def _watch_until(self, deadline: float) -> None:
        """See in time what is overdue. One look in a while is cheaper than a timer for each call."""
        if self._watch is not None:
            self._watch.cancel()
        self._watch, self._alarm = self._loop.call_at(deadline, self._look), deadline

    def _look(self) -> None:
        self._watch, self._alarm = None, math.inf
        now = self._loop.time()
        for batch in [batch for batch in self._unanswered if batch.deadline <= now]:
            batch.expire(now)
            if batch.deadline == math.inf and batch in self._waiting:
                # Nobody is to find out later that what failed was stored all the same.
                self._waiting.remove(batch)
        self._unanswered = {batch for batch in self._unanswered if batch.deadline < math.inf}
        if self._unanswered:
            self._watch_until(min(batch.deadline for batch in self._unanswered))


MOST_SHARED: Final = 1000
"""Jobs in one script, after which further calls go into the next."""

LONE_ARGUMENTS: Final = 4
LONE_HEAD: Final = len(f"*{LONE_ARGUMENTS}\r\n")


class Target:
    """Where the batches of one queue go.

    Args:
        space: The keys of the queue.
        requests: All that the client asks it to store.
        session: The connections.
    """

    def __init__(self, space: KeySpace, requests: Requests, session: Session) -> None:
        self.requests, self.session = requests, session
        self.script, self._space = load("enqueue"), space
        self.keys = space.pick(self.script.keys, requests.client)
        self._openings: dict[tuple[object, bool], bytes] = {}

    def opening(self, plan: object, whole: bool) -> bytes:
        """Return how the call of the script for a lone job begins; its plan is a priority."""
        opening = self._openings.get((plan, whole))
        if opening is None:
            script = load("enqueue_one")
            names = tuple(name.replace("<priority>", str(plan)) for name in script.keys)
            keys = self._space.pick(names, self.requests.client)
            call = (*script_call(script, whole), len(keys), *keys)
            opening = b"*%d\r\n" % (len(call) + LONE_ARGUMENTS) + pack(call).partition(b"\n")[2]
            self._openings[plan, whole] = opening
        return opening


class Batch(Command):
    """The calls that go to one queue in one script.

    One job alone that is due at once goes by a script that can do no more than that, and is
    sent again by the other if that does not do.

    Args:
        done: Is called once there is an answer, or will be none.

    Attributes:
        deadline: When the time of the next of its calls is up.
        jobs: How many there are in it.
    """

    __slots__ = ("_callers", "_done", "_in_doubt", "_lone", "_target", "deadline", "jobs", "request")

    def __init__(self, target: Target, done: Callable[[Batch], None]) -> None:
        super().__init__(target.script, target.keys, [])
        self._target, self._done = target, done
        self._callers: list[tuple[asyncio.Future[list[int]], int, int, float]] = []
        self._in_doubt: list[tuple[int, list[Place]]] = []
        self._lone = True
        self.deadline, self.jobs, self.request = math.inf, 0, Request()

    def add(self, args: Sequence[object], deadline: float) -> asyncio.Future[list[int]]:
        """Add the jobs of one call; the future is the script's answer for each of them."""
        first, loop, requests = self.jobs, self._target.session.loop, self._target.requests
        if requests.doubtful:
            self._in_doubt += [(first + at, places) for at, places in requests.places(args, loop.time())]
        future: asyncio.Future[list[int]] = loop.create_future() if first else self.future
        cast("list[object]", self.args).extend(args)
        self.jobs = first + len(args) // FIELDS
        self._callers.append((future, first, self.jobs, deadline))
        self.deadline = min(self.deadline, deadline)
        self.request.unheard += 1
        return future

    def full(self) -> bool:
        """Say whether the next call had better go elsewhere."""
        return self.jobs >= MOST_SHARED

    def awaited(self) -> bool:
        """Whether to send it: also when every caller has gone, for an enqueue that was begun is finished."""
        return True

    def packed(self) -> bytes:
        """Return it as it goes over the wire, under a number of its own each time."""
        withdrawn = self._withdrawn()
        unheard = self._target.requests.number(self.request)
        number = self.request.number
        plain = self.jobs == 1 and len(str(self.args[1])) == 1
        self._lone = self._lone and plain and not self._in_doubt and not withdrawn
        if self._lone:
            job_id, plan, record = self.args
            return self._target.opening(plan, self.whole) + pack((job_id, record, number, unheard))[LONE_HEAD:]
        head = ("store", number, unheard, shown(self._in_doubt) + withdrawn)
        return pack((*script_call(self._target.script, self.whole), len(self.keys), *self.keys, *head, *self.args))

    def _withdrawn(self) -> str:
        """Return the jobs that are not to be stored any more, as `lua/jobs/enqueue.lua` takes them.

        Nothing was done when it was sent before. Whose callers have gone since may have been stored
        by a repetition that went out in between, and have ended.
        """
        if not self.request.number:
            return ""
        gone = [at for future, first, last, _ in self._callers if future.done() for at in range(first, last)]
        return "".join([f"{at + 1}:x;" for at in gone])

    def answer(self, reply: Any) -> None:
        """Give each caller its part of the reply; where nothing was done, do it by the other script or number."""
        if not reply:
            self._lone = self.whole = False
            self._target.session.stores.submit(self)
            return
        self._done(self)
        answers: list[int] = [reply] if self._lone else reply
        for future, first, last, _ in self._callers:
            if not future.done():
                future.set_result(answers[first:last])

    def fail(self, error: Exception) -> None:
        """Give each caller an error of its own: its traceback grows where it is raised."""
        self._done(self)
        for future, *_ in self._callers:
            if not future.done():
                future.set_exception(type(error)(*error.args))

    def expire(self, now: float) -> None:
        """Fail the calls whose time is up, and go on for the others; they may all be answered later."""
        self.deadline = math.inf
        for future, _, _, deadline in self._callers:
            if deadline > now:
                self.deadline = min(self.deadline, deadline)
            elif not future.done():
                future.set_exception(TimeoutError())
