"""Each sentence of the guarantee names the tests that prove it, and they are there."""

from __future__ import annotations

import re

import pytest

from tests.docs.fences import ROOT
from tests.redis.bad_inputs.table import TABLE

PAGE = (ROOT / "docs" / "guarantees.md").read_text()
ROWS = re.findall(r"^\| (.+?\.) \| (.+) \|$", PAGE, re.MULTILINE)
NAMED = re.findall(r"`((?:tests|packages)/[^`]+)`", PAGE)


def test_every_sentence_is_proved() -> None:
    """The table has the guarantee, sentence by sentence, but for what is not promised."""
    quoted = " ".join(line.removeprefix("> ") for line in PAGE.splitlines() if line.startswith("> "))
    promised = quoted.partition(" Not promised: ")[0]
    assert " ".join(sentence for sentence, _ in ROWS) == promised
    assert all("::test_" in proofs for _, proofs in ROWS)


@pytest.mark.parametrize("named", sorted(set(NAMED)))
def test_a_proof_exists(named: str) -> None:
    """The file has a test of that name."""
    path, _, test = named.partition("::")
    text = (ROOT / path).read_text()
    assert re.search(rf"^ *(?:async )?def {test}\(", text, re.MULTILINE)


def test_the_table_of_bad_inputs_is_that_of_the_tests() -> None:
    """The page says of each input what the tests insist on, and of no other."""
    section = PAGE.partition("## What bad inputs get\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (.+) \| (.+) \|$", section, re.MULTILINE)[2:] == [
        (row.input, row.expected) for row in TABLE
    ]
