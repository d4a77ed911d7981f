"""What tests tell is shown at the end of a run: figures, and never only whether they passed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SUITE = """
def test_good(tell):
    tell("0 lost")


def test_bad(tell):
    tell("seed 7")
    tell("4 lost")
    assert False
"""


def test_figures_are_shown_of_tests_that_pass_and_that_fail(tmp_path: Path) -> None:
    """Each under the name of its test, from the processes that share the tests."""
    (tmp_path / "test_suite.py").write_text(SUITE)
    options = "-q -n 1 -p tests.conftest -p no:cacheprovider --rootdir=. ."
    command = [sys.executable, "-m", "pytest", *options.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "\ntest_suite.py::test_good\n0 lost\n" in ended.stdout
    assert "\ntest_suite.py::test_bad\nseed 7\n4 lost\n" in ended.stdout
