"""Fixtures for the tests of the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request

from aioq_web import User
from tests.web.browser import open_browser
from tests.web.site import ALL_RIGHTS, Shop, Site, served

DESKTOP = (1280, 900)


# No longer than a module: while it is open, Playwright's event loop counts as running, and async tests cannot run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of the system, which the tests of a module share."""
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The dashboard of a shop, for a user who may change everything."""
    with served(Shop(), user=User("ada", ALL_RIGHTS)) as site:
        yield site


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page of the site: `open_page("/jobs", size=(360, 780))`.

    At the end no page may have reported an error, or asked another host for anything.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((site.url, "data:")):
            complaints.append(f"asked {request.url}")

    def open_it(
        path: str, *, size: tuple[int, int] = DESKTOP, scheme: str = "light", script: bool = True, strict: bool = True
    ) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, timezone_id="America/New_York",  # type: ignore[arg-type]
            java_script_enabled=script,
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.on("request", note)
        if strict:
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
        # Not "networkidle": the events of a live page never end.
        page.goto(f"{site.url}{path}", wait_until="load")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []
