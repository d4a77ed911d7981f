"""Leasing jobs to workers, and dealing with what turns out to be none."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aioq.errors import BrokerConfigError
from aioq.job import Claim, ClaimRequest, Lease
from aioq_redis.errors import one_line
from aioq_redis.keeping import milliseconds
from aioq_redis.keys import Layout
from aioq_redis.records import FIRST, Run, Unreadable, read_id, read_record, read_run
from aioq_redis.server import Server, together
from aioq_redis.settling import Settling

__all__ = ["Claiming"]

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


class Claiming:
    """What the broker does to hand out jobs."""

    def __init__(self, server: Server, layout: Layout, settling: Settling) -> None:
        self._server, self._layout, self._settling = server, layout, settling
        self._warned: set[int] = set()
        self._refused: dict[str, float] = {}

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; see `aioq.protocols.Broker.claim`."""
        if not _WORKER_ID.fullmatch(request.worker_id):
            raise ValueError(f"worker_id must be 1 to 200 printable characters, got {request.worker_id!r}")
        leases: list[Lease] = []
        waits: list[int] = []
        refusals: list[BrokerConfigError] = []
        left, rest, alone = request.limit, list(request.queues), False
        while rest and left > 0:
            queue = rest.pop(0)
            try:
                taken, wait, dropped, last, *found = await self._ask(request, queue, left)
            except BrokerConfigError as refusal:
                refusals.append(refusal)
                continue
            # What the request took then, not what is left of it now: a repetition takes nothing new.
            left = 0 if last else left - taken
            alone = alone or bool(last)
            waits.append(wait)
            if dropped:
                _warn_of_dropped(queue, dropped)
            leases += await self._read(queue, found)
        if refusals:
            await self._go_on_without(refusals, request, leases)
        # Of the other queues nothing is wanted but to know when their next job is due.
        waits += [wait for _, wait, *_ in await together(self._ask(request, queue, 0) for queue in rest)]
        due = min((wait for wait in waits if wait >= 0), default=None)
        return Claim(leases=leases, next_due=None if due is None else due / 1000, alone=alone)

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

    async def _ask(self, request: ClaimRequest, queue: str, limit: int) -> list[Any]:
        held = request.running + request.limit - limit
        args = (request.request_id, request.worker_id, limit, milliseconds(request.lease), held)
        reply: list[Any] = await self._server.call("claim", self._layout.queue(queue), args, own=request.worker_id)
        return reply

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
                logger.warning("buried job %s of queue %s: %s", _shown(puzzle.id), queue, puzzle.error)
        await self._settling.send(queue, args)

    def _warn_of_version(self, queue: str, puzzle: Puzzle) -> None:
        if puzzle.error.version not in self._warned:
            self._warned.add(puzzle.error.version)
            logger.warning("job %s of queue %s is left for newer workers: %s", _shown(puzzle.id), queue, puzzle.error)


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
