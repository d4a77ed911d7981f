"""The page of workers shows what they run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from playwright.sync_api import Page, expect

from aioq.model.workers import RunInfo, WorkerInfo
from tests.web.site import Site


def test_runs_are_links_to_their_jobs(open_page: Callable[..., Page], site: Site) -> None:
    """The five oldest runs of a worker are shown with their times, the others are counted, and a stuck one is marked."""
    job = site.running_job()
    broker: Any = site.shop.app.broker
    now = site.call(broker.time)
    oldest = RunInfo(job_id=job.id, queue=job.queue, task="shop.oldest", attempt=1, since=now - 7200, stuck=True)
    others = [RunInfo(job_id=f"j{n}", queue="q", task="shop.other", attempt=1, since=now) for n in range(6)]
    worker = WorkerInfo(
        id="busy-1", queues=("q",), concurrency=9, running=7, hostname="h", pid=1, started_at=now, stuck=1,
        runs=(oldest, *others), memory=50 * 2**20, loop_lag=0.5, version="0.5.0",
    )  # fmt: skip
    site.call(partial(broker.heartbeat, worker, ttl=600))
    page = open_page("/workers")
    row = page.locator(".worker", has_text="busy-1")
    expect(row).to_contain_text("50 MiB, loop 500 ms late")
    expect(row.locator("tr").first).to_contain_text("stuck")
    expect(row.get_by_text("and 2 more")).to_be_visible()
    row.get_by_role("link", name="shop.oldest").click()
    expect(page).to_have_url(f"{site.url}/jobs/{job.queue}/{job.id}")
