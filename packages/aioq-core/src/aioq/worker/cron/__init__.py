"""Cron entries in the worker.

`service` owns the duties. `local` fires the entries that every worker fires by itself, and
`fleet` those that fire once for the fleet: `due_ticks` decides about ticks, `tick_claims` asks
the ledger for them. `runs` applies the overlap policy, and `invoke` calls a cron's function.
`stored` fires the schedules that the broker stores, as `owed_ticks` decides. `scheduled_jobs`
looks after the jobs that schedules enqueue. `registration` registers the app's entries,
`recorder` writes what happened to ticks, `startup_log` logs the next runs.
"""

from aioq.worker.cron.scheduled_jobs import JobNotReady as JobNotReady
from aioq.worker.cron.scheduled_jobs import ScheduledJobs as ScheduledJobs
from aioq.worker.cron.service import CronService as CronService

__all__ = ["CronService", "JobNotReady", "ScheduledJobs"]
