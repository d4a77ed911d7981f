"""Changes by the buttons of pages: each is done, and those without the right or from other sites are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from aioq.model.job import NewJob
from aioq_web import User
from tests.web.site import ALL_RIGHTS, Shop, Site, served


def test_job_is_cancelled(open_page: Callable[..., Page], site: Site) -> None:
    """The button on the page of a running job cancels it."""
    job = site.running_job()
    page = open_page(f"/jobs/default/{job.id}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".callout")).to_contain_text("The job was cancelled.")
    assert site.call(job.state) == "cancelled"


def test_job_is_retried(open_page: Callable[..., Page], site: Site) -> None:
    """The button on the page of a cancelled job puts it back."""
    page = open_page("/jobs/exports/cancelled/job")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".callout")).to_contain_text("put back")
    expect(page.locator("#state")).to_contain_text("pending")


def test_chosen_jobs_are_cancelled(open_page: Callable[..., Page], site: Site) -> None:
    """The box above a list chooses all of its jobs, and the button cancels them."""
    page = open_page("/jobs?queue=exports&state=pending")
    count = page.locator("input[name=job]").count()
    assert count >= 3
    page.get_by_label("all on this page").check()
    page.get_by_role("button", name="Cancel chosen").click()
    expect(page.locator(".callout")).to_contain_text(f"{count} jobs were cancelled.")
    expect(page.locator("main")).to_contain_text("No job matches.")


def test_cron_is_paused_and_resumed(open_page: Callable[..., Page], site: Site) -> None:
    """Pausing asks for a reason, which every page shows until the entry is resumed."""
    page = open_page("/crons/default/shop.morning_mail")
    page.locator("summary", has_text="Pause").click()
    page.get_by_label("Why is it paused?").fill("provider is down")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#halt")).to_contain_text("provider is down")
    expect(page.locator("#halt")).to_contain_text("by ada")
    page.locator("#halt").get_by_role("button", name="Resume shop.morning_mail").click()
    expect(page.locator(".callout")).to_contain_text("is resumed")


def test_queue_is_paused_and_resumed(open_page: Callable[..., Page], site: Site) -> None:
    """The jobs of a paused queue wait, their page says why, and resuming takes one click."""
    page = open_page("/queues")
    page.locator("tr", has_text="exports").locator("summary", has_text="Pause").click()
    page.get_by_label("Why is exports paused?").fill("disk is full")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#halt")).to_contain_text("disk is full")
    job = site.call(site.shop.export.enqueue, "more")
    page.goto(f"{site.url}/jobs/exports/{job.id}")
    expect(page.locator("#gates")).to_contain_text("Queue exports is paused by ada: “disk is full”.")
    page.locator("#halt").get_by_role("button", name="Resume exports").click()
    expect(page.locator(".callout")).to_contain_text("exports is resumed")


def test_job_shows_its_headers(open_page: Callable[..., Page], site: Site) -> None:
    """The page of a job has its headers, escaped, and hides those that are named like a secret."""
    headers = {"traceparent": "00-<b>ab</b>", "x-token": "hunter2"}
    job = NewJob(id="with-headers", task="shop.export", queue="exports", payload=b"{}", headers=headers)
    site.call(site.shop.app.broker.enqueue, [job])
    page = open_page("/jobs/exports/with-headers")
    expect(page.locator("#headers")).to_contain_text("00-<b>ab</b>")
    expect(page.locator("#headers")).to_contain_text("what is named like a secret is hidden")
    expect(page.locator("main")).not_to_contain_text("hunter2")


def test_failures_are_replayed(open_page: Callable[..., Page], site: Site) -> None:
    """The failures of a cause run again, and the overview says who decided that and why."""
    page = open_page("/failures")
    cause = page.locator(".cause", has_text="shop.charge_card")
    expect(cause).to_contain_text("tests.web.site:Shop._charge")
    cause.locator("summary", has_text="Replay").click()
    form = cause.locator("details[open]")
    form.get_by_label("Why?").fill("the bank is back")
    form.get_by_role("button", name="Replay 1").click()
    expect(page.locator(".callout")).to_contain_text("1 job was put back.")
    page.goto(f"{site.url}/")
    expect(page.locator("#changes")).to_contain_text("the bank is back")


def test_failures_are_dismissed(for_dismissal: Site) -> None:
    """Dismissed failures leave the list and do not run again; newer ones than the reader saw stay."""
    site = for_dismissal
    with httpx.Client(base_url=site.url, follow_redirects=True) as client:
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', client.get("/failures").text))
        fields |= {"verb": "dismiss", "note": "closed shop", "token": client.cookies["aioq_token"]}
        before = client.post("/failures/payments", data={**fields, "until": "1.0"})
        assert "0 jobs were dismissed." in before.text
        after = client.post("/failures/payments", data=fields)
        assert "1 job was dismissed." in after.text
        assert "Nothing has failed." in after.text


@pytest.mark.parametrize(
    "fields", [{"verb": "delete", "until": "9e9"}, {"verb": "replay"}, {"verb": "replay", "until": "soon"}]
)
def test_order_that_is_not_understood_is_refused(site: Site, fields: dict[str, str]) -> None:
    """A form that does not say what to do, or with which failures, changes nothing."""
    with httpx.Client(base_url=site.url) as client:
        client.get("/failures")
        data = {**fields, "token": client.cookies["aioq_token"]}
        assert client.post("/failures/payments", data=data).status_code == 400


def test_form_that_names_too_many_jobs_is_refused(site: Site) -> None:
    """Of a form that is too long, not a part is done."""
    with httpx.Client(base_url=site.url) as client:
        client.get("/jobs")
        data = {"verb": "cancel", "token": client.cookies["aioq_token"], "job": [f"exports/{n}" for n in range(501)]}
        refused = client.post("/jobs", data=data)
        assert refused.status_code == 400
        assert "nothing was changed" in refused.text


@pytest.fixture(scope="module")
def for_dismissal() -> Iterator[Site]:
    """The dashboard of a shop whose failures are dismissed."""
    with served(Shop(), user=User("ada", ALL_RIGHTS)) as site:
        yield site


def test_schedule_runs_now(open_page: Callable[..., Page], site: Site) -> None:
    """The button enqueues a job, which the history of the entry names and links."""
    page = open_page("/crons/default/shop.morning_mail")
    page.locator("summary", has_text="Run now").click()
    page.get_by_label("Why does it run now?").fill("asked for by sales")
    page.get_by_role("button", name="Run now", exact=True).click()
    expect(page.locator(".callout")).to_contain_text("runs now as job cron:shop.morning_mail:")
    assert any(change.note == "asked for by sales" for change in site.call(site.shop.app.broker.list_changes))  # type: ignore[attr-defined]
    page.locator("summary", has_text="As a table").click()
    expect(page.locator("#ticks tbody a").first).to_contain_text("cron:shop.morning_mail:")


@pytest.fixture(scope="module")
def for_readers() -> Iterator[Site]:
    """The dashboard of a shop, for a user who may only read."""
    with served(Shop(), user=User("bob")) as site:
        yield site


def test_reader_sees_no_buttons_and_may_not_use_them(for_readers: Site) -> None:
    """A user without rights gets no form, and the request of a forged one is refused."""
    with httpx.Client(base_url=for_readers.url) as client:
        page = client.get("/jobs/exports/cancelled/job")
        assert "Retry" not in page.text
        refused = client.post("/jobs/exports/cancelled/job/retry", data={"token": client.cookies["aioq_token"]})
        assert refused.status_code == 403
        assert "bob may not change jobs" in refused.text


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_form_of_another_site_is_refused(site: Site, headers: dict[str, str]) -> None:
    """A form that another site sends with the reader's cookies does nothing."""
    with httpx.Client(base_url=site.url) as client:
        client.get("/crons")
        data = {"token": client.cookies["aioq_token"], "note": "x"}
        refused = client.post("/crons/reports/shop.close_the_books/pause", data=data, headers=headers)
        assert refused.status_code == 403


@pytest.mark.parametrize("token", ["", "wrong", "é" * 43])
def test_form_without_token_is_refused(site: Site, token: str) -> None:
    """A form must repeat the token that the reader's browser has."""
    with httpx.Client(base_url=site.url) as client:
        client.get("/crons")
        refused = client.post("/crons/reports/shop.close_the_books/pause", data={"token": token, "note": "x"})
        assert refused.status_code == 403


def test_form_that_is_too_large_is_refused(site: Site) -> None:
    """A large body is not read to its end."""
    with httpx.Client(base_url=site.url) as client:
        client.get("/crons")
        data = {"token": client.cookies["aioq_token"], "note": "x" * 100_000}
        assert client.post("/jobs", data=data).status_code == 413
