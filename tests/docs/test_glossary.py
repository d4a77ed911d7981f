"""docs/glossary.md: each term stands once, and the code that it names exists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"
ROW = re.compile(r"^\| (?P<terms>[^|]+?) \| (?P<meaning>[^|]+?) \| `(?P<code>[\w.]+)` \|$", re.MULTILINE)
ROWS = [row.groupdict() for row in ROW.finditer(GLOSSARY.read_text(encoding="utf-8"))]


def find_object(path: str) -> object:
    """Return the module, class or constant that a dotted path names."""
    try:
        return import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)


def test_glossary_rows_are_all_read() -> None:
    """Every row of the tables has the three columns that the other tests read."""
    lines = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(lines) - 2 * sum(line.startswith("| term") for line in lines)


def test_glossary_term_stands_once() -> None:
    """No term has two meanings."""
    terms = [term for row in ROWS for term in row["terms"].split(", ")]
    assert sorted(terms) == sorted(set(terms))


@pytest.mark.parametrize("row", ROWS, ids=[row["terms"] for row in ROWS])
def test_glossary_code_exists(row: dict[str, str]) -> None:
    """The code in the last column can be imported."""
    assert find_object(row["code"]) is not None
