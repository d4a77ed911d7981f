"""Waking those who wait: for work, for a result, for word that a job was called off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

from aioq_redis.backoff import pause_before
from aioq_redis.channels import Inbox
from aioq_redis.errors import Lost, Refusal
from aioq_redis.keeping import milliseconds
from aioq_redis.keys import Layout
from aioq_redis.server import Server

__all__ = ["Waiting"]

SHORTEST_BLOCK: Final = 0.01
"""Seconds; the server takes 0 for ever."""

MARGIN: Final = 60.0
"""Seconds that the server remembers who waits for a result beyond the end of the wait."""
