"""Links lead somewhere: between the pages, and from README.md into them."""

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
def test_a_link_leads_somewhere(page: Path, link: str) -> None:
    """The file is there, and has the heading."""
    if link.startswith("https://"):
        return
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    assert target.is_file()
    assert not anchor or anchor in anchors(target)


def anchors(page: Path) -> set[str]:
    """Return what the headings of a page can be linked by."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_navigation() -> None:
    """A page that nothing leads to is not read."""
    settings = (ROOT / "docs" / "zensical.toml").read_text()
    pages = {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")}
    assert pages == set(re.findall(r'= "([\w/-]+\.md)"', settings))


def test_every_page_is_in_the_readme() -> None:
    """Whoever starts at README.md finds all pages."""
    text = (ROOT / "README.md").read_text()
    assert [
        path.name for path in ROOT.glob("docs/*.md") if path.stem != "index" and f"docs/{path.name}" not in text
    ] == []


def test_the_site_asks_no_other_host() -> None:
    """No fonts, scripts or pictures from elsewhere: what would bring them in is off."""
    settings = (ROOT / "docs" / "zensical.toml").read_text()
    assert "font = false" in settings
    assert not any(f"```{word}" in page.read_text() for page in PAGES for word in ("mermaid", "pyodide"))
