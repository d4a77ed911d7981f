"""Leasing jobs to workers, and dealing with what turns out to be none."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from aioq.errors import BrokerConfigError
from aioq.model.job import Claim, ClaimRequest, Lease
from aioq.serialization.failure import one_line
from aioq_redis.client.client import gather_all
from aioq_redis.client.command import Command
from aioq_redis.jobs.settle import Settling
from aioq_redis.storage.database import Database
from aioq_redis.storage.job_format import FIRST, Run, Unreadable, read_id, read_record, read_run
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import milliseconds
from aioq_redis.storage.scripts import load

__all__ = ["Answer", "Claiming", "Latest"]

FUTURE_PAUSE: Final = 30.0
"""Seconds before a job of a later version is offered again, to a newer worker one hopes."""

FUTURE_TRIES: Final = 120
"""So often it is offered (an hour in all) before it is given up."""

REFUSED_PAUSE: Final = 0.5
"""Seconds to wait when one queue refuses to be asked and the others have nothing."""

SAY_AGAIN: Final = 60.0
"""Seconds after which the same refusal is logged again."""

logger = logging.getLogger("aioq.redis")

_MOMENT: Final = re.compile(rb"(\d+) ")
_WORKER_ID: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


class Puzzle(NamedTuple):
    """What was claimed and cannot be read."""

    id: bytes
    record: bytes
    run: Run
    error: Unreadable


class Answer(NamedTuple):
    """What the script says of one queue."""

    queue: str
    taken: int
    """How many jobs the request took; -1 when it came too late to take any."""
    wait: int
    """Milliseconds until the next job is due; -1 for none."""
    dropped: Sequence[Any]
    alone: bool
    found: Sequence[bytes]

    @classmethod
    def read(cls, queue: str, reply: Sequence[Any]) -> Answer:
        """Return the answer that a reply is."""
        taken, wait, dropped, alone, *found = reply
        return cls(queue, taken, wait, dropped, bool(alone), found)


class Latest(NamedTuple):
    """What the latest claim of a worker found."""

    queues: tuple[str, ...]
    due: Mapping[str, float]
    """By queue when its next job comes due, on the clock of the event loop; infinity without one."""
    heard: Mapping[str, str]
    """By queue the latest request that it has answered."""

    @property
    def nearest(self) -> tuple[str, float]:
        """The queue whose job comes due next, and when."""
        return min(self.due.items(), key=itemgetter(1), default=("", math.inf))


class Claiming:
    """What the broker does to hand out jobs."""

    def __init__(self, server: Database, layout: Layout, settling: Settling) -> None:
        self._server, self._layout, self._settling = server, layout, settling
        self._warned: set[int] = set()
        self._refused: dict[str, float] = {}
        self._latest: dict[str, Latest] = {}

    def latest(self, request: ClaimRequest) -> Latest | None:
        """Return what the worker's claim before this one found; None if it is not known, or was of other queues."""
        latest = self._latest.get(request.worker_id)
        return latest if latest is not None and latest.queues == request.queues else None

    def forget(self, worker_id: str) -> None:
        """Forget what a worker has claimed."""
        self._latest.pop(worker_id, None)

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; see `aioq.protocols.Broker.claim`."""
        if not _WORKER_ID.fullmatch(request.worker_id):
            raise ValueError(f"worker_id must be 1 to 200 printable characters, got {request.worker_id!r}")
        answers: list[Answer | BrokerConfigError] = []
        left, rest = request.limit, list(request.queues)
        while rest and left > 0:
            answer = await self._ask(request, rest.pop(0), left)
            answers.append(answer)
            if isinstance(answer, Answer):
                # What the request took then, not what is left of it now: a repetition takes nothing new.
                left = 0 if answer.alone else left - answer.taken
        # Of the other queues nothing is wanted but to know when their next job is due, and what was claimed before.
        answers += await gather_all(self._ask(request, queue, 0) for queue in rest)
        claim = await self.accept(request, [answer for answer in answers if isinstance(answer, Answer)])
        if refusals := [answer for answer in answers if isinstance(answer, BrokerConfigError)]:
            await self._go_on_without(refusals, request, claim.leases)
        return claim

    async def accept(self, request: ClaimRequest, answers: Sequence[Answer]) -> Claim:
        """Return what the server's answers for the queues of a request come to."""
        leases: list[Lease] = []
        for answer in answers:
            if answer.dropped:
                _warn_of_dropped(answer.queue, answer.dropped)
            leases += await self._read(answer.queue, answer.found)
        now, before = self._server.session.loop.time(), self.latest(request)
        waits = {queue: max(0.0, moment - now) for queue, moment in before.due.items()} if before is not None else {}
        waits |= {answer.queue: answer.wait / 1000 if answer.wait >= 0 else math.inf for answer in answers}
        due = {queue: now + wait for queue, wait in waits.items()}
        heard = dict(before.heard) if before is not None else {}
        heard |= dict.fromkeys([answer.queue for answer in answers], request.request_id)
        self._latest[request.worker_id] = Latest(request.queues, due, heard)
        nearest = min(waits.values(), default=math.inf)
        return Claim(
            leases=leases,
            next_due=None if nearest == math.inf else nearest,
            alone=any(answer.alone for answer in answers),
        )

    def command(self, request: ClaimRequest, queue: str, before: str | None) -> Command:
        """Return the claim of a queue as a command; it takes nothing unless it comes right after the request `before`.

        Without `before` it comes whenever it comes.
        """
        script, args = load("claim"), _arguments(request, request.limit)
        keys = self._layout.queue(queue).pick(script.keys, request.worker_id)
        return Command(script, keys, args if before is None else (*args, before))

    async def _go_on_without(
        self, refusals: list[BrokerConfigError], request: ClaimRequest, leases: Sequence[Lease]
    ) -> None:
        """Let the other queues go on when one holds foreign data; fail when there are no others."""
        if len(refusals) == len(request.queues):
            raise refusals[0]
        now = time.monotonic()
        for refusal in refusals:
            if now - self._refused.get(str(refusal), -math.inf) >= SAY_AGAIN:
                self._refused[str(refusal)] = now
                logger.error("%s; other queues go on", refusal)
        if not leases:  # what waits in such a queue looks like work that is never done
            await asyncio.sleep(REFUSED_PAUSE)

    async def _ask(self, request: ClaimRequest, queue: str, limit: int) -> Answer | BrokerConfigError:
        space, args, latest = self._layout.queue(queue), _arguments(request, limit), self.latest(request)
        # Named is the request before, so that this one, should it come late, takes nothing when others have come.
        before = [latest.heard[queue]] if latest is not None and queue in latest.heard else []
        try:
            reply = await self._server.call("claim", space, (*args, *before), own=request.worker_id)
            if reply[0] < 0:  # the server has forgotten
                reply = await self._server.call("claim", space, args, own=request.worker_id)
        except BrokerConfigError as refusal:
            return refusal
        return Answer.read(queue, reply)

    async def _read(self, queue: str, found: Sequence[bytes]) -> list[Lease]:
        leases: list[Lease] = []
        puzzles: list[Puzzle] = []
        for at in range(0, len(found), 3):
            run = read_run(found[at + 2]) if found[at + 2] else FIRST
            try:
                leases.append(_lease(queue, found[at], found[at + 1], run))
            except Unreadable as error:
                puzzles.append(Puzzle(found[at], found[at + 1], run, error))
        if puzzles:
            await self._set_aside(queue, puzzles)
        return leases

    async def _set_aside(self, queue: str, puzzles: list[Puzzle]) -> None:
        args: list[object] = []
        for puzzle in puzzles:
            args += (puzzle.id, _fence_of(puzzle))
            if puzzle.error.version and puzzle.run.epoch < FUTURE_TRIES:
                args += ("l", puzzle.error.priority, milliseconds(FUTURE_PAUSE))
                self._warn_of_version(queue, puzzle)
            else:
                args += ("b", puzzle.error.reason, "")
                logger.warning("job %s of queue %s is dead: %s", _shown(puzzle.id), queue, puzzle.error)
        await self._settling.send(queue, args)

    def _warn_of_version(self, queue: str, puzzle: Puzzle) -> None:
        if puzzle.error.version not in self._warned:
            self._warned.add(puzzle.error.version)
            logger.warning("job %s of queue %s is left for newer workers: %s", _shown(puzzle.id), queue, puzzle.error)


def _arguments(request: ClaimRequest, limit: int) -> tuple[object, ...]:
    held = request.running + request.limit - limit
    return request.request_id, request.worker_id, limit, milliseconds(request.lease), held


def _lease(queue: str, raw_id: bytes, raw: bytes, run: Run) -> Lease:
    record = read_record(raw)
    return Lease(
        job_id=read_id(raw_id),
        queue=queue,
        epoch=run.epoch,
        task=record.head.task,
        payload=record.payload,
        attempt=run.attempt,
        crashes=run.crashes,
        priority=record.head.priority,
        enqueued_at=record.enqueued / 1000,
        expires_at=record.expires_at(),
    )


def _fence_of(puzzle: Puzzle) -> bytes:
    moment = _MOMENT.match(puzzle.record)
    return b"%d %b" % (puzzle.run.epoch, moment[1] if moment else b"0")


def _warn_of_dropped(queue: str, ids: Sequence[Any]) -> None:
    logger.warning(
        "dropped %d ids from queue %s that have no job, the first of them %s", len(ids), queue, _shown(ids[0])
    )


def _shown(raw: bytes) -> str:
    return one_line(raw.decode("ascii", "backslashreplace"), 80)
