"""Hostile names and payloads, and who may see the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect
from starlette.requests import Request

from aioq_web import User, dashboard
from tests.web.site import ALL_RIGHTS, HOSTILE, Shop, Site, served


def test_hostile_payload_is_shown_as_text(open_page: Callable[..., Page]) -> None:
    """Markup in arguments and errors is escaped, in the list and on the page of the job."""
    page = open_page("/jobs?state=failed")
    expect(page.locator("main")).to_contain_text("<script>")
    page.locator("a.name").first.click()
    expect(page.locator(".code").last).to_contain_text("<script>")
    assert page.locator("main script, main img").count() == 0
    assert page.title() != "owned"


@pytest.mark.parametrize(
    "path", ["/jobs?q=%s", "/jobs?queue=%s", "/crons?q=%s", "/jobs/default/%s", "/crons/default/%s", "/?told=%s"]
)
def test_hostile_query_is_escaped(site: Site, path: str) -> None:
    """Whatever stands in an address comes back as text."""
    response = httpx.get(site.url + path.replace("%s", httpx.QueryParams({"": HOSTILE}).__str__()[1:]))
    assert "<script>document" not in response.text
    assert "<img src=//" not in response.text


LONG = "shop.rebuild_the_search_index_" + "of_everything_" * 10
TURNED = "\u202eshop.txt.exe"
RIGHT_TO_LEFT = "متجر.أرسل_الإيصال"
QUEUE, JOB = "q" * 64, "j" * 150
HOSTILE_NAMES = (LONG, TURNED, RIGHT_TO_LEFT, HOSTILE[:150])


@pytest.fixture(scope="module")
def with_hostile_names() -> Iterator[Site]:
    """The dashboard of a shop whose jobs and crons have names that are long, turned around, or markup."""
    shop = Shop()
    shop.app.schedule(shop.send, "0 6 * * *", name=LONG, args=("ada@example.org",))
    with served(shop, user=User("ada" * 50, ALL_RIGHTS)) as site:
        # As a client of another make may: ours refuses such names of tasks.
        job = shop.send.call("ada@example.org").job
        jobs = [
            replace(job, id=f"{JOB}{place or ''}", task=name, queue=QUEUE) for place, name in enumerate(HOSTILE_NAMES)
        ]
        site.call(shop.app.broker.enqueue, jobs)
        yield site


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/jobs",
        "/queues",
        "/crons",
        "/failures",
        "/workers",
        f"/crons/default/{LONG}",
        f"/jobs/{QUEUE}/{JOB}",
        f"/jobs/{QUEUE}/no{JOB}",
    ],
)
def test_hostile_names_do_not_widen_a_page(browser: Browser, with_hostile_names: Site, path: str) -> None:
    """Nothing is wider than the window of a phone or a desktop, and no name moves the text beside it."""
    context = browser.new_context(viewport={"width": 360, "height": 780})
    page = context.new_page()
    page.goto(f"{with_hostile_names.url}{path}", wait_until="load")
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 780})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in page.locator("a.name").all():
        assert name.evaluate("node => getComputedStyle(node).unicodeBidi") == "isolate"
    assert page.locator("main script, main img").count() == 0
    context.close()


def test_secrets_are_hidden(site: Site) -> None:
    """Arguments whose names say that they are secret are shown as dots."""
    page = httpx.get(f"{site.url}/jobs?queue=default&state=completed").text
    assert "hush" not in page
    assert "••••••" in page


def test_headers_forbid_everything_foreign(site: Site) -> None:
    """Each response has a strict policy, also an error and a file."""
    for path in ("/", "/nowhere", "/static/style.css", "/static/none.css"):
        headers = httpx.get(site.url + path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")


@pytest.mark.parametrize("host", ["shop.example", "127.0.0.1.attacker.example", "10.0.0.1"])
def test_other_names_of_this_machine_are_refused(site: Site, host: str) -> None:
    """Without a rule, a site that makes its own name point to this machine gets no page."""
    response = httpx.get(site.url, headers={"Host": host})
    assert response.status_code == 403
    assert "You may not see this dashboard" in response.text


def test_access_rule_names_users() -> None:
    """The rule decides who sees the dashboard, and its name of the user is shown; it may be a coroutine function."""

    async def access(request: Request) -> User | None:
        name = request.headers.get("x-user")
        return User(name) if name else None

    with served(Shop(), access=access) as site:
        assert httpx.get(site.url).status_code == 403
        # A rule may let in other names of the machine: behind a proxy it has them.
        page = httpx.get(site.url, headers={"x-user": "<b>eve</b>", "Host": "shop.example"})
        assert page.status_code == 200
        assert "&lt;b&gt;eve&lt;/b&gt;" in page.text


def test_rule_and_local_user_exclude_each_other() -> None:
    """Two answers to who a user is would hide a mistake."""
    with pytest.raises(ValueError, match="local_user"):
        dashboard(Shop().app, access=lambda request: None, local_user=User("ada"))
