"""What is on its way to one queue: calls that come while a script is under way share the next."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from aioq_redis.batches import Batch, Target
from aioq_redis.errors import Refusal
from aioq_redis.naming import Naming

__all__ = ["Outbox"]

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
            Lost, TimeoutError, Refusal, NotReplicated: It was not answered, or not so.
        """
        requests = self._target.requests
        batch, first, future = self._join(args, deadline)
        try:
            reply = await future
        except Refusal:
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
