"""Cron expressions for aioq: a strict five-field dialect, time zones with the daylight-saving rules of
Debian's cron, combined schedules, and the loop that fires entries on time.
"""

from aioq_cron.errors import InvalidCronExpression
from aioq_cron.expression.expression import CronExpression
from aioq_cron.scheduler import CronScheduler
from aioq_cron.schedules.combinators import Except, Intersection, Union
from aioq_cron.schedules.every import Every
from aioq_cron.schedules.intervals import BusinessDays, EveryDays, EveryMonths, EveryWeeks
from aioq_cron.schedules.rrule import Rrule

__all__ = [
    "BusinessDays",
    "CronExpression",
    "CronScheduler",
    "Every",
    "EveryDays",
    "EveryMonths",
    "EveryWeeks",
    "Except",
    "Intersection",
    "InvalidCronExpression",
    "Rrule",
    "Union",
]
