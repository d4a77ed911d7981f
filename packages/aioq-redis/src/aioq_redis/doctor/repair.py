"""Removes stored data that belong to no job: nothing else would remove them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aioq.model.health import Finding, Level
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import KeySpace

__all__ = ["REMOVABLE", "remove_orphans"]

REMOVABLE: Final = {
    "runs": "runs without a job",
    "attempts": "attempts without a job",
    "ended": "records of ended jobs in no index",
}
"""What is removed from each hash."""

PAGE: Final = 100
"""Fields that one script looks at. A field may have a megabyte, and the server runs nothing else meanwhile."""


async def remove_orphans(database: Database, space: KeySpace, queue: str) -> AsyncIterator[Finding]:
    """Remove the orphans of a queue; yield a finding for each hash that had some."""
    for name, what in REMOVABLE.items():
        removed, cursor = 0, b"0"
        while True:
            cursor, count = await database.call("remove_orphans", space, (name, cursor, PAGE))
            removed += count
            if cursor == b"0":
                break
        if removed:
            text = f"{removed:,} {what} were removed"
            yield Finding(level=Level.OK, subject=f"queue {queue}", text=text, facts={"removed": removed})
