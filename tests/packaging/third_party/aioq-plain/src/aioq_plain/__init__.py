"""A scheduler for aioq that reads `every 5m` and `at 09:30`."""

from aioq_plain.scheduler import PlainScheduler
from aioq_plain.schedules import Daily, Interval

__all__ = ["Daily", "Interval", "PlainScheduler"]
