"""Claims that wait: parked on the server, which makes them when there is something to claim.

Behind the command that blocks on the tokens of a queue lies the claim, and the server does it
in the moment that somebody lays out a token. So leases come to an idle worker in one round
trip. A claim that is left behind there, because its connection broke in a way that the server
does not notice, is told from others by the request before it, and takes nothing.

For a worker of several queues, which take a script each, it is sent when the token has come and
says of which it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from anyio import Event
from msgspec import structs

from aioq.errors import BrokerConfigError
from aioq.model.job import Claim, ClaimRequest
from aioq.retry import full_jitter
from aioq_redis.client.command import Command
from aioq_redis.client.errors import ConnectionLost, ErrorReply
from aioq_redis.client.session import Session
from aioq_redis.jobs.claim import Answer, Claiming, Latest
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.scripts import load

__all__ = ["Parking"]

EARLIEST: Final = 0.002
"""Seconds after the moment of a job at which it is certainly due: the server counts milliseconds."""

LATE: Final = 0.25
"""Seconds after which nobody has been woken for a job, and the wait ends by itself."""

LONGEST: Final = 30.0
"""Seconds: the server remembers the request before for a minute."""


class Parking:
    """What the broker does to have claims wait."""

    def __init__(self, server: Database, layout: Layout, claiming: Claiming) -> None:
        self._server, self._layout, self._claiming = server, layout, claiming
        self._failures = 0

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None) -> Claim:
        """Claim when there is something to claim; see `aioq.protocols.Signals.wait_and_claim`."""
        session, latest = self._server.session, self._claiming.latest(request)
        claim = None
        if latest is not None and latest.nearest[1] > session.loop.time():
            try:
                claim = await self._wait(session, request, latest, min(timeout, LONGEST), idle)
            except ConnectionLost:
                self._failures += 1
                if len(request.queues) > 1:  # of which one may have given all that there is room for
                    request = structs.replace(request, limit=0)
            if session.closed:
                return claim or Claim(leases=[])
        return claim or await self._claiming.claim(request)

    async def _wait(
        self, session: Session, request: ClaimRequest, latest: Latest, seconds: float, idle: Event | None
    ) -> Claim | None:
        """Wait, and claim if that comes with it; None when it does not."""
        if self._failures:
            await asyncio.sleep(full_jitter(self._failures - 1))
        queue, moment = latest.nearest
        due = moment - session.loop.time()
        # Nobody else may be awake when the job comes due, and the server ends a block up to 0.1 s late.
        soon = due < seconds + LATE
        alarm = session.loop.call_later(due + EARLIEST, self._nudge, session, queue) if soon else None
        try:
            claim = await self._block(session, request, latest, due + LATE if soon else seconds, idle)
        except ErrorReply as refusal:
            self._failures += 1
            if refusal.code == "WRONGTYPE":
                raise await self._foreign(request.queues) from None
            raise self._server.refused("BLPOP", refusal) from None
        finally:
            if alarm is not None:
                alarm.cancel()
        self._failures = 0
        return claim

    async def _foreign(self, queues: Sequence[str]) -> BrokerConfigError:
        spaces = [self._layout.queue(queue) for queue in queues]
        said = [await self._server.misfit(space, [space.key("wake")]) for space in spaces]
        named = next((text for text in said if text.startswith("key ")), said[0])
        return BrokerConfigError(f"{self._server.name} holds foreign data: {named}")

    async def _block(
        self, session: Session, request: ClaimRequest, latest: Latest, seconds: float, idle: Event | None
    ) -> Claim | None:
        queues = {self._layout.queue(queue).key("wake"): queue for queue in request.queues}
        commands = {
            key: self._claiming.command(request, queue, latest.heard.get(queue)) for key, queue in queues.items()
        }
        key, reply = await session.blocking.then(commands, seconds, idle)
        if reply is None or isinstance(reply, ErrorReply):
            return None
        answer = Answer.read(queues[key], reply)
        return await self._claiming.accept(request, [answer]) if answer.taken >= 0 else None

    def _nudge(self, session: Session, queue: str) -> None:
        """Wake a worker for a job that has come due, most likely the one that asks for it."""
        script = load("nudge")
        command = Command(script, self._layout.queue(queue).pick(script.keys), ())
        # When it fails the block ends by itself a little later.
        session.pipeline.submit(command).add_done_callback(lambda reply: reply.cancelled() or reply.exception())
