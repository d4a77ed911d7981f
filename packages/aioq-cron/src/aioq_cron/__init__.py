"""Cron expressions for aioq: a strict five-field dialect, time zones with the daylight-saving rules of
Debian's cron, combined schedules, and the loop that fires entries on time.
"""

from aioq_cron.errors import InvalidCronExpression
from aioq_cron.every import Every
from aioq_cron.exclude import Except
from aioq_cron.expression import CronExpression
from aioq_cron.scheduler import CronScheduler
from aioq_cron.union import Union

__all__ = ["CronExpression", "CronScheduler", "Every", "Except", "InvalidCronExpression", "Union"]
