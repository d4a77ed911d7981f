"""tests/README.md lists each folder and each shared file of the tests."""

from __future__ import annotations

import re

from tests.docs.fences import ROOT

TESTS = ROOT / "tests"
PAGE = (TESTS / "README.md").read_text(encoding="utf-8")


def test_tests_readme_lists_every_folder() -> None:
    """The table has a row for each folder, and no other row."""
    rows = re.findall(r"^\| `(\w+)/` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(path.name for path in TESTS.iterdir() if path.is_dir() and path.name[0] not in "_.")


def test_tests_readme_names_every_shared_file() -> None:
    """The files beside the page are named, and each path of a test in it exists."""
    assert [path.name for path in TESTS.glob("*.py") if f"`{path.name}`" not in PAGE] == []
    paths = re.findall(r"\btests/[\w/]+(?:\.py)?", PAGE)
    assert [path for path in paths if not (ROOT / path).exists()] == []
