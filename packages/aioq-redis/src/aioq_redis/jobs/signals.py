"""Waits for results and for cancelled jobs, over pub/sub."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aioq.model.job import CancelledRun
from aioq_redis.client.errors import ConnectionLost, ErrorReply
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.client.pubsub import Subscription
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention

__all__ = ["SignalsRole"]

logger = logging.getLogger("aioq.redis")

POLL_INTERVAL: Final = 0.5
"""Seconds between looks at a job if the user may not subscribe to channels."""

_CANCELLED_RUN: Final = re.compile(rb"(\d{1,15}) (\d{1,15}) ([!-~]{1,64}) ([!-~]{1,200})")

WAIT_MARGIN: Final = 60.0
"""Seconds after the end of a wait for which the server still counts it."""


class SignalsRole(BrokerRole):
    """Implements `wait_for_result` and `aborts` of `aioq.protocols.Signals`."""

    def __init__(self, database: Database, layout: Layout, retention: Retention) -> None:
        super().__init__(database, layout, retention)
        self._logged_polling = False

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; see `aioq.protocols.Signals.wait_for_result`."""
        session, space = self._database.session, self._layout.queue(queue)
        loop = session.loop
        deadline = loop.time() + timeout
        # Subscribed before the first look: an end in between would be noticed by neither of them.
        async with self._listen(space.key(f"end:{job_id}")) as subscription:
            while True:
                left = max(0.0, deadline - loop.time())
                if await self._database.call("await_end", space, (job_id, milliseconds(left + WAIT_MARGIN))):
                    return True
                if left == 0:
                    return False
                if await _message(subscription, min(left, POLL_INTERVAL) if subscription.denied else left):
                    return True
                if session.closed:
                    raise self._database.unavailable("the connection was closed")

    async def aborts(self, worker_id: str) -> AsyncIterator[CancelledRun]:
        """Yield cancelled runs of a worker; see `aioq.protocols.Signals.aborts`."""
        async with self._listen(self._layout.fleet.key(f"abort:{worker_id}")) as subscription:
            while True:
                # None means that messages may have been lost. The worker notices those jobs by their lost leases.
                message = await subscription.messages.get()
                if message is not None and (run := _read_run(message)) is not None:
                    yield run

    @asynccontextmanager
    async def _listen(self, channel: str) -> AsyncGenerator[Subscription]:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._database.timeout):
                    subscription = await stack.enter_async_context(self._database.session.pubsub.subscribe(channel))
            except TimeoutError:
                raise self._database.unavailable("no answer to SUBSCRIBE") from None
            except ConnectionLost as error:
                raise self._database.unavailable(str(error)) from None
            except ErrorReply as refusal:
                if refusal.code != "NOPERM":
                    raise self._database.rejected("SUBSCRIBE", refusal) from None
                self._log_polling(refusal)
                subscription = Subscription(denied=True)
            yield subscription

    def _log_polling(self, refusal: ErrorReply) -> None:
        if not self._logged_polling:
            self._logged_polling = True
            logger.warning(
                "%s does not permit SUBSCRIBE, so results are polled for and cancelled jobs are noticed late: %s",
                self._database.name,
                refusal.text,
                extra={"event": "results_polled"},
            )


def _read_run(message: bytes) -> CancelledRun | None:
    """Read a message of `lua/jobs/cancel.lua`; None if it is of another program."""
    found = _CANCELLED_RUN.fullmatch(message)
    if found is None:
        return None
    epoch, enqueued, queue, job_id = found.groups()
    return CancelledRun(
        job_id=job_id.decode("ascii"), queue=queue.decode("ascii"), epoch=int(epoch), enqueued_at=int(enqueued) / 1000
    )


async def _message(subscription: Subscription, seconds: float) -> bytes | None:
    """Return the next message; None if none comes in time, or one may have been lost."""
    try:
        async with asyncio.timeout(seconds):
            return await subscription.messages.get()
    except TimeoutError:
        return None
