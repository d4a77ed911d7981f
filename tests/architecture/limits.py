"""The upper limits of the layout: the house rules that can be counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.architecture.walks import CRON_LIST, ENQUEUE, JOB, TICK

__all__ = ["DEPTH", "ENTRIES", "EXAMPLE", "WALKS"]

ENTRIES: Mapping[str, int] = {"aioq_cron": 10, "aioq_redis": 10}
"""Modules and folders at the top level of a package."""

DEPTH: Mapping[str, int] = {"aioq": 10, "aioq_cron": 5, "aioq_redis": 6}
"""Modules and folders at the top level of a package on its longest chain of imports."""

EXAMPLE: Final = 1_600 + 30 + 70 + 130 + 95 + 12 + 4
"""Lines of Python of the example broker on SQLite: 1,600 for the protocols up to `Schedules`, 30 for stored attempts, 70
for `Statistics`, 130 for `Failures`, 95 for `QueueControl` and `ChangeLog`, 12 for headers, 4 for
retries that are brought forward. Later protocols may add to it."""

WALKS: Mapping[str, tuple[int, int]] = {ENQUEUE: (12, 20), JOB: (29, 110), TICK: (27, 125), CRON_LIST: (30, 108)}
"""Files and changes of file of a call path. Two files of an enqueue, of a settlement and of the end of an app count jobs.
An overview of entries is a file of its own, which the dashboard uses, too, and a table asks another whether it has colours."""
