"""Finds the browser of the system, which the tests of pages drive: Chromium, or Chrome."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

__all__ = ["HOW_TO", "open_browser", "program"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
HOW_TO = "no browser to test with: apt-get install chromium, or set AIOQ_TEST_BROWSER to the path of a Chromium"


def program() -> str | None:
    """Return the path of the browser, or None if there is none."""
    if given := os.environ.get("AIOQ_TEST_BROWSER"):
        return given
    return next((path for name in NAMES if (path := shutil.which(name))), str(MAC) if MAC.exists() else None)


@contextmanager
def open_browser() -> Generator[Browser]:
    """Open the browser; skip the test if there is none.

    On a build machine the test fails instead: there a missing browser is an error of the machine.
    """
    path = program()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(HOW_TO)
    with sync_playwright() as driver:
        # A container often runs everything as root, for whom Chromium has no sandbox.
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()
