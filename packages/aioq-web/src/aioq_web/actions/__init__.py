"""Does what the forms of the pages order: each change needs a right, and is recorded with the user."""

from typing import Final

from aioq_web.actions.crons import backfill_cron, pause_cron, resume_cron, run_cron
from aioq_web.actions.failures import change_failures
from aioq_web.actions.jobs import cancel_job, change_jobs, change_matching, retry_job
from aioq_web.actions.queues import pause_queue, resume_queue

__all__ = ["ACTIONS"]

ACTIONS: Final = {
    "/jobs": change_jobs,
    "/jobs/change": change_matching,
    "/jobs/{queue}/{id:path}/retry": retry_job,
    "/jobs/{queue}/{id:path}/cancel": cancel_job,
    "/failures/{queue}": change_failures,
    "/queues/{queue}/pause": pause_queue,
    "/queues/{queue}/resume": resume_queue,
    "/crons/{queue}/{name}/pause": pause_cron,
    "/crons/{queue}/{name}/resume": resume_cron,
    "/crons/{queue}/{name}/run": run_cron,
    "/crons/{queue}/{name}/backfill": backfill_cron,
}
"""The function of each form, by its path."""
