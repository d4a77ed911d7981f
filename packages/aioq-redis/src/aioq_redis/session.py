"""The connections of one broker in one event loop, opened as they are needed."""

from __future__ import annotations

import asyncio
from functools import partial

from aioq_redis.blocking import Blocking
from aioq_redis.channels import Channels
from aioq_redis.connection import dial
from aioq_redis.pipeline import Pipeline
from aioq_redis.settings import Settings

__all__ = ["Session"]


class Session:
    """One path for commands, one for messages, and one for each blocking wait."""

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False
        call = partial(dial, settings)
        self.pipeline = Pipeline(call, settings.masked)
        self.channels = Channels(call, settings.masked)
        self.blocking = Blocking(call)

    async def close(self) -> None:
        """Close every connection."""
        self.closed = True
        await self.blocking.close()
        await self.channels.close()
        await self.pipeline.close()
