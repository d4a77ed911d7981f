"""The pictures of the documentation: they show the pages of today, and `AIOQ_SCREENSHOTS=1` makes them again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Browser, expect

from aioq_web import User
from tests.web.png import with_few_colours
from tests.web.scene import new_scene
from tests.web.site import ALL_RIGHTS, on_port

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images"
DESKTOP, PHONE = (1120, 760), (360, 740)
PICTURES = {
    "dashboard-overview": ("/", DESKTOP, "light"),
    "dashboard-jobs": ("/jobs", DESKTOP, "light"),
    "dashboard-cron": ("/crons/exports/shop.export_orders", DESKTOP, "dark"),
    "dashboard-phone": ("/", PHONE, "dark"),
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The dashboard of the shop of the pictures, whose clock stands still."""
    with start_blocking_portal() as portal:
        app = portal.call(new_scene)
        with on_port(portal, app, user=User("ada", ALL_RIGHTS)) as url:
            yield url
        portal.call(app.close)


@pytest.mark.parametrize("name", PICTURES)
def test_picture_shows_the_shop(browser: Browser, address: str, name: str) -> None:
    """Each page of a picture has the scene; with `AIOQ_SCREENSHOTS` the picture is written."""
    path, (width, height), scheme = PICTURES[name]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="Europe/Berlin",  # type: ignore[arg-type]
        reduced_motion="reduce",
    )  # fmt: skip
    page = context.new_page()
    page.goto(f"{address}{path}", wait_until="load")
    expect(page.locator("#live")).to_contain_text("Live")
    assert "the provider is down" in page.locator("#halt").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if os.environ.get("AIOQ_SCREENSHOTS"):
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{name}.png").write_bytes(with_few_colours(page.screenshot()))
    context.close()


def test_pictures_are_those_of_the_pages_and_have_texts() -> None:
    """Each picture is in the documentation, with a text for those who cannot see it, and none is left over."""
    shown = dict(re.findall(r"!\[([^\]]+)\]\(images/(dashboard-\w+)\.png\)", (ROOT / "docs/dashboard.md").read_text()))
    assert sorted(shown.values()) == sorted(PICTURES)
    assert sorted(path.stem for path in FOLDER.glob("dashboard-*.png")) == sorted(PICTURES)
    assert "docs/images/dashboard-overview.png" in (ROOT / "README.md").read_text()
