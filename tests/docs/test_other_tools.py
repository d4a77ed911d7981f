"""The page that compares aioq with other tools names tests that exist."""

from __future__ import annotations

import re

from tests.docs.fences import ROOT

PAGE = ROOT / "docs" / "other-tools.md"


def test_each_row_names_tests_that_exist() -> None:
    """A row without a test, or with one that was renamed, claims what nothing shows."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| what")]
    named = [re.findall(r"`(test_\w+)`", row) for row in rows if not row.startswith("| ---")]
    assert all(named)
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if ".venv" not in path.parts)
    defined = set(re.findall(r"\bdef (test_\w+)\(", sources))
    assert {name for names in named for name in names} <= defined
