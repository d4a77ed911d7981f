"""Shows what broke, by cause, and whether it is over."""

from __future__ import annotations

from functools import partial
from typing import Final

from aioq.model.failures import OTHER_CAUSES, FailureGroup
from aioq.protocols import Failures
from aioq_web.paging import slice_of
from aioq_web.parallel import in_parallel
from aioq_web.view import Page, View

__all__ = ["failure_groups", "failures"]

ROWS: Final = 50

MOST_QUEUES: Final = 200
"""Queues whose failures are read: those with the most."""


async def failures(view: View) -> Page:
    """Show the causes of failures, the one with the newest failure first."""
    groups = await failure_groups(view)
    shown = slice_of(view, groups, ROWS)
    values = {
        "slice": shown,
        "total": view.snapshot.failures,
        "kept": view.feature(Failures) is not None,
        "others": OTHER_CAUSES,
    }
    return Page("failures.html", "Failures", values)


async def failure_groups(view: View) -> list[FailureGroup]:
    """Return the causes of the failures of all queues, the one with the newest failure first."""
    store = view.feature(Failures)
    if store is None:
        return []
    failed = sorted((each for each in view.snapshot.queues or () if each.failures), key=lambda each: -each.failures)
    queues = [stats.queue for stats in failed[:MOST_QUEUES]]
    parts = await in_parallel(
        partial(view.read, ("failures", queue), partial(store.failure_groups, queue)) for queue in queues
    )
    return sorted((group for part in parts for group in part), key=lambda group: group.last, reverse=True)
