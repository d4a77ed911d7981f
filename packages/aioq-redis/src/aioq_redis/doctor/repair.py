"""Removes stored data that belong to no job, and puts back jobs that nothing else would put back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aioq.model.health import Finding, Level
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import KeySpace

__all__ = ["REMOVABLE", "about_held", "remove_orphans"]

REMOVABLE: Final = {
    "runs": "runs without a job",
    "attempts": "attempts without a job",
    "ended": "records of ended jobs in no index",
}
"""What is removed from each hash."""

HELD: Final = "jobs are set aside for stops of tasks that are no longer stored"
"""What happens to jobs if the record of a stop vanishes: no claim takes them, and no restore reaches them."""

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


async def about_held(database: Database, space: KeySpace, queue: str, *, fix: bool) -> list[Finding]:
    """Return a finding if jobs of a queue are set aside for stops that are gone; with `fix`, put them back."""
    count: int = await database.call("restore_held", space, (int(fix),))
    if not count:
        return []
    subject, facts = f"queue {queue}", {"count": count}
    if fix:
        text = f"{count:,} jobs were put back whose stop is no longer stored"
        return [Finding(level=Level.OK, subject=subject, text=text, facts=facts)]
    advice = "put them back with aioq doctor --fix; stop their tasks again if they must not run"
    return [Finding(level=Level.FAIL, subject=subject, text=f"{count:,} {HELD}", advice=advice, facts=facts)]
