"""Crons in the worker: a few duties, each in its own file.

`cron` owns them. `firing` decides about ticks that every worker fires by itself, `contention`
about those that fire once for the fleet, and `acting` does what the ledger answers. `runs` keeps
the runs of an entry apart, `call` makes one; `jobs` knows those that schedules enqueue.
`attendance` tells the ledger that the worker is up, `recorder` what became of ticks.
"""

from aioq.worker.cron.scheduled_jobs import NotYet as NotYet
from aioq.worker.cron.scheduled_jobs import ScheduledJobs as ScheduledJobs
from aioq.worker.cron.service import Cron as Cron

__all__ = ["Cron", "NotYet", "ScheduledJobs"]
