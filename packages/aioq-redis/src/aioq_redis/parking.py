"""Claims that wait: parked on the server, which makes them when there is something to claim.

Behind the command that blocks on the tokens of a queue lies the claim, and the server does it
in the moment that somebody lays out a token. So leases come to an idle worker in one round
trip. A claim that is left behind there, because its connection broke in a way that the server
does not notice, is told from others by the request before it, and takes nothing.

A worker of several queues, for which that would take several scripts, is woken and claims then.
"""

from __future__ import annotations

import asyncio
from typing import Final

from anyio import Event

from aioq.job import Claim, ClaimRequest
from aioq_redis.backoff import pause_before
from aioq_redis.claiming import Answer, Claiming, Latest
from aioq_redis.command import Command
from aioq_redis.errors import Lost, Refusal
from aioq_redis.keys import Layout
from aioq_redis.scripts import load
from aioq_redis.server import Server
from aioq_redis.session import Session

__all__ = ["Parking"]

EARLIEST: Final = 0.002
"""Seconds after the moment of a job at which it is certainly due: the server counts milliseconds."""

LATE: Final = 0.25
"""Seconds after which nobody has been woken for a job, and the wait ends by itself."""

LONGEST: Final = 30.0
"""Seconds: the server remembers the request before for a minute."""


class Parking:
    """What the broker does to have claims wait."""

    def __init__(self, server: Server, layout: Layout, claiming: Claiming) -> None:
        self._server, self._layout, self._claiming = server, layout, claiming
        self._failures = 0

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None) -> Claim:
        """Claim when there is something to claim; see `aioq.protocols.Signals.wait_and_claim`."""
        session, latest = self._server.session, self._claiming.latest(request)
        claim = None
        if latest is not None and latest.due > session.loop.time():
            claim = await self._wait(session, request, latest, min(timeout, LONGEST), idle)
            if session.closed:
                return claim or Claim(leases=[])
        return claim or await self._claiming.claim(request)

    async def _wait(
        self, session: Session, request: ClaimRequest, latest: Latest, seconds: float, idle: Event | None
    ) -> Claim | None:
        """Wait, and claim if that comes with it; it is otherwise not known to have been done."""
        if self._failures:
            await asyncio.sleep(pause_before(self._failures - 1))
        due = latest.due - session.loop.time()
        # Nobody else may be awake when the job comes due, and the server ends a block up to 0.1 s late.
        soon = due < seconds + LATE
        alarm = session.loop.call_later(due + EARLIEST, self._nudge, session, latest.nearest) if soon else None
        try:
            claim = await self._block(session, request, latest, due + LATE if soon else seconds, idle)
        except Lost:
            self._failures += 1
            return None
        except Refusal as refusal:
            self._failures += 1
            raise self._server.refused("BLPOP", refusal) from None
        finally:
            if alarm is not None:
                alarm.cancel()
        self._failures = 0
        return claim

    async def _block(
        self, session: Session, request: ClaimRequest, latest: Latest, seconds: float, idle: Event | None
    ) -> Claim | None:
        keys = [self._layout.queue(queue).key("wake") for queue in request.queues]
        if len(keys) > 1:
            await session.blocking.pop(keys, seconds)
            return None
        command = self._claiming.waiting(request, latest.request_id)
        reply = await session.blocking.then(command, keys[0], seconds, idle)
        if isinstance(reply, Refusal):
            return None
        answer = Answer.read(request.queues[0], reply)
        return await self._claiming.accept(request, [answer]) if answer.taken >= 0 else None

    def _nudge(self, session: Session, queue: str) -> None:
        """Wake a worker for a job that has come due, most likely the one that asks for it."""
        script = load("nudge")
        command = Command(script, self._layout.queue(queue).pick(script.keys), ())
        # When it fails the block ends by itself a little later.
        session.pipeline.submit(command).add_done_callback(lambda reply: reply.cancelled() or reply.exception())
