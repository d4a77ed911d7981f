"""The jobs of one queue that go to the server in one script."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from aioq_redis.command import Command, called
from aioq_redis.connection import pack
from aioq_redis.keys import KeySpace
from aioq_redis.requests import FIELDS, Place, Request, Requests, shown
from aioq_redis.scripts import load
from aioq_redis.session import Session

__all__ = ["Batch", "Target"]

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
            call = (*called(script, whole), len(keys), *keys)
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
        super().__init__(target.script, target.keys, ())
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
        self.args += args
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
            return self._target.opening(plan, self._whole) + pack((job_id, record, number, unheard))[LONE_HEAD:]
        head = ("store", number, unheard, shown(self._in_doubt) + withdrawn)
        return pack((*called(self._target.script, self._whole), len(self._keys), *self._keys, *head, *self.args))

    def _withdrawn(self) -> str:
        """Return the jobs that are not to be stored any more, as `lua/enqueue.lua` takes them.

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
            self._lone = self._whole = False
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
