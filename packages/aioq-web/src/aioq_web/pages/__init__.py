"""The pages, by path. Each function returns the page of a request."""

from typing import Final

from aioq_web.pages.backfill import backfill
from aioq_web.pages.cron import cron
from aioq_web.pages.crons import crons
from aioq_web.pages.failures import failures
from aioq_web.pages.job import job
from aioq_web.pages.jobs import change_preview, jobs
from aioq_web.pages.overview import overview
from aioq_web.pages.queues import queues
from aioq_web.pages.workers import workers

__all__ = ["PAGES"]

PAGES: Final = {
    "/": overview,
    "/jobs": jobs,
    "/jobs/change": change_preview,
    "/jobs/{queue}/{id:path}": job,
    "/failures": failures,
    "/queues": queues,
    "/workers": workers,
    "/crons": crons,
    "/crons/{queue}/{name}": cron,
    "/crons/{queue}/{name}/backfill": backfill,
}
"""The function of each page, by its path."""
