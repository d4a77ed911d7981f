"""Links between the pages, and from README.md to them, have targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.fences import PAGES, ROOT

LINKS = [
    (page, link)
    for page in PAGES
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
]


@pytest.mark.parametrize(("page", "link"), LINKS, ids=[f"{page.stem}-{link}" for page, link in LINKS])
def test_link_target_exists(page: Path, link: str) -> None:
    """The file of the link exists, and has the heading."""
    if link.startswith("https://"):
        return
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    assert target.is_file()
    assert not anchor or anchor in anchors(target)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_navigation_has_every_page() -> None:
    """The navigation of the site has every page."""
    settings = (ROOT / "docs" / "zensical.toml").read_text()
    pages = {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")}
    assert pages == set(re.findall(r'= "([\w/-]+\.md)"', settings))


def test_readme_links_every_page() -> None:
    """README.md leads to every page."""
    text = (ROOT / "README.md").read_text()
    assert [
        path.name for path in ROOT.glob("docs/*.md") if path.stem != "index" and f"docs/{path.name}" not in text
    ] == []


def test_site_loads_nothing_from_other_hosts() -> None:
    """The options that would load fonts, scripts or pictures from other hosts are off."""
    settings = (ROOT / "docs" / "zensical.toml").read_text()
    assert "font = false" in settings
    assert not any(f"```{word}" in page.read_text() for page in PAGES for word in ("mermaid", "pyodide"))
