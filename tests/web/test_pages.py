"""Every page in a real browser: on a desktop and a phone, dark and light, for people who cannot see, without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.web.conftest import DESKTOP
from tests.web.site import Site

PAGES = [
    "/",
    "/jobs",
    "/jobs?state=failed",
    "/jobs/exports/cancelled/job",
    "/failures",
    "/queues",
    "/workers",
    "/crons",
    "/crons/reports/shop.close_the_books",
    "/crons/default/shop.morning_mail/backfill?from=2026-03-27T00:00&to=2026-03-30T12:00",
    "/crons/default/shop.morning_mail/backfill?from=x",
    "/jobs/change?verb=cancel&queue=exports",
    "/nowhere",
]
TABLET = (800, 900)
PHONE = (360, 780)


@pytest.mark.parametrize("path", PAGES)
def test_page_has_no_faults(open_page: Callable[..., Page], path: str) -> None:
    """Each page fits its window, has one main heading, and axe finds nothing that shuts people out."""
    page = open_page(path, strict=path != "/nowhere")
    expect(page.locator("h1")).to_have_count(1)
    look_at(page, DESKTOP)
    page.emulate_media(color_scheme="dark")
    look_at(page, PHONE)


def look_at(page: Page, size: tuple[int, int]) -> None:
    """Check a page in a window of a size."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_page_on_a_tablet_has_names_for_its_icons(open_page: Callable[..., Page]) -> None:
    """In a window of middle size the pages are icons, which have names for those who cannot see them."""
    look_at(open_page("/"), TABLET)


@pytest.mark.parametrize("path", PAGES[:-1])
def test_page_works_without_script(open_page: Callable[..., Page], path: str) -> None:
    """Without JavaScript a page has the same content, and says as of when."""
    page = open_page(path, script=False)
    assert page.locator("main").inner_text().strip()
    assert page.locator("#live").inner_text().startswith("as of ")


def test_pages_are_reached_by_keyboard(open_page: Callable[..., Page]) -> None:
    """The first tab goes to the content, "/" to the search, and Enter finds the job."""
    page = open_page("/")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("/")
    expect(page.locator("#find")).to_be_focused()
    page.keyboard.type("cancelled/job")
    page.keyboard.press("Enter")
    expect(page.locator(".callout a")).to_have_text("cancelled/job")


def test_times_are_in_the_zone_of_the_reader(open_page: Callable[..., Page]) -> None:
    """The script tells the server the zone of the browser, and titles have it beside UTC."""
    page = open_page("/crons")
    expect(page.locator(".bar .chip")).to_contain_text("New York")
    row = page.locator("#crons tr", has_text="shop.morning_mail")
    title = row.locator("time").get_attribute("title") or ""
    assert {line.partition(":")[0] for line in title.splitlines()} == {"you", "Europe/Berlin", "UTC"}


def test_overview_shows_what_was_counted(open_page: Callable[..., Page]) -> None:
    """Charts have the jobs that completed and failed, for the span that the reader chooses."""
    page = open_page("/")
    # Those that `Shop` has counted, and its own job that fails.
    expect(page.locator("#failed .big")).to_have_text(re.compile("36|37"))
    # The running minute may have begun after the shop was filled.
    assert page.locator("#completed rect").count() > 170
    page.get_by_role("link", name="1 h", exact=True).click()
    expect(page.locator("nav.seg [aria-current]")).to_have_text("1 h")
    assert 50 < page.locator("#completed rect").count() <= 60


def test_page_is_updated_without_reload(open_page: Callable[..., Page], site: Site) -> None:
    """What another person changes appears in an open page, and the page stays where it is."""
    page = open_page("/crons/reports/shop.close_the_books")
    expect(page.locator("#live")).to_contain_text("Live")
    expect(page.locator("#answer")).not_to_contain_text("paused")
    page.evaluate("document.title = 'not reloaded'")
    site.pause("shop.close_the_books", "reports", "inventory")
    expect(page.locator("#answer")).to_contain_text("paused", timeout=30_000)
    # What all pages share is read anew less often, above all on a busy machine.
    expect(page.locator("#halt")).to_contain_text("inventory", timeout=30_000)
    assert page.title() == "not reloaded"


def test_page_in_use_is_left_alone(open_page: Callable[..., Page], site: Site) -> None:
    """A form that a reader has opened does not vanish while the rest of the page is updated."""
    page = open_page("/crons/default/shop.open_new_york")
    page.locator("summary", has_text="Pause").click()
    field = page.locator("input[name=note]")
    field.fill("half a sen")
    site.pause("shop.open_new_york", "default", "by another")
    expect(page.locator("#answer")).to_contain_text("paused", timeout=30_000)
    expect(field).to_have_value("half a sen")
