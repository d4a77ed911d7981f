"""Shows what broke, by cause, and whether it is over."""

from __future__ import annotations

from typing import Final

from aioq.model.failures import OTHER_CAUSES, FailureGroup
from aioq.protocols import Failures
from aioq_web.paging import slice_of
from aioq_web.view import Page, View

__all__ = ["failure_groups", "failures"]

ROWS: Final = 50


async def failures(view: View) -> Page:
    """Show the causes of failures, the one with the newest failure first."""
    groups = await failure_groups(view)
    shown = slice_of(view, groups, ROWS)
    values = {
        "slice": shown,
        "total": sum(group.count for group in groups),
        "kept": view.feature(Failures) is not None,
        "others": OTHER_CAUSES,
    }
    return Page("failures.html", "Failures", values)


async def failure_groups(view: View) -> list[FailureGroup]:
    """Return the causes of the failures of all queues, the one with the newest failure first."""
    store = view.feature(Failures)
    if store is None:
        return []
    queues = [stats.queue for stats in view.snapshot.queues or () if stats.failed]
    groups = [group for queue in queues for group in await store.failure_groups(queue)]
    return sorted(groups, key=lambda group: group.last, reverse=True)
