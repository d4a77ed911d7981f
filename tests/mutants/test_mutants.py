"""The list of mutants, and the command that runs the suites against them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.mutants.mutant import PROJECT, Mutant
from tests.mutants.mutants import MUTANTS
from tests.packaging.workspace import ROOT


def test_list_has_sixty_mutants_and_more_with_names_of_their_own() -> None:
    """Each mutant has a name that stands in a table, and a sentence that says what is wrong."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 60
    assert [mutant.name for mutant in MUTANTS if not mutant.says.endswith(".")] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_changes_the_broker_in_one_place(mutant: Mutant) -> None:
    """The text that it replaces occurs once in the source, and the result is Python."""
    source = (PROJECT / "src" / "aioq_sqlite" / mutant.module).read_text("utf-8")
    assert source.count(mutant.old) == 1
    compile(source.replace(mutant.old, mutant.new), mutant.module, "exec")


@pytest.mark.skipif(os.name == "nt", reason="the command forks")
@pytest.mark.timeout(200)
def test_command_names_the_test_that_catches_a_mutant() -> None:
    """The broker as it is passes, one mutant is caught, and one that the chosen tests miss is an error."""
    command = [sys.executable, "-m", "tests.mutants", "conflict-by-payload-alone", "attempt-stays"]
    only = ["--only", "asyncio and test_settle_retry_is_due_after_delay"]
    ran = subprocess.run([*command, *only], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "the broker as it is passes" in ran.stdout, ran.stdout + ran.stderr
    assert "attempt-stays: caught by test_settle_retry_is_due_after_delay[asyncio]" in ran.stdout
    assert "conflict-by-payload-alone: SURVIVES" in ran.stdout
    assert "2 mutants, 1 caught" in ran.stdout
    assert ran.returncode == 1
