"""docs/guarantees.md names the tests of each sentence of the guarantee, and the tests exist."""

from __future__ import annotations

import re

import pytest

from tests.docs.fences import ROOT
from tests.redis.bad_inputs.table import TABLE

PAGE = (ROOT / "docs" / "guarantees.md").read_text()
ROWS = re.findall(r"^\| (.+?\.) \| (.+) \|$", PAGE, re.MULTILINE)
NAMED = re.findall(r"`((?:tests|packages)/[^`]+)`", PAGE)


def test_guarantee_table_has_every_sentence() -> None:
    """The table has each sentence of the guarantee, except those about what is not promised."""
    quoted = " ".join(line.removeprefix("> ") for line in PAGE.splitlines() if line.startswith("> "))
    promised = quoted.partition(" Not promised: ")[0]
    assert " ".join(sentence for sentence, _ in ROWS) == promised
    assert all("::test_" in proofs for _, proofs in ROWS)


@pytest.mark.parametrize("named", sorted(set(NAMED)))
def test_guarantee_named_test_exists(named: str) -> None:
    """The named file has a test of the named name."""
    path, _, test = named.partition("::")
    text = (ROOT / path).read_text()
    assert re.search(rf"^ *(?:async )?def {test}\(", text, re.MULTILINE)


def test_bad_input_table_equals_the_tests_table() -> None:
    """The page has each input and outcome that the tests require, and no other."""
    section = PAGE.partition("## What bad inputs get\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (.+) \| (.+) \|$", section, re.MULTILINE)[2:] == [
        (row.input, row.expected) for row in TABLE
    ]
