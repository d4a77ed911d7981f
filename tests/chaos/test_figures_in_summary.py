"""The figures that tests report are shown at the end of a run, whether the tests pass or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SUITE = """
def test_good(show_figures):
    show_figures("0 lost")


def test_bad(show_figures):
    show_figures("seed 7")
    show_figures("4 lost")
    assert False
"""


def test_summary_shows_figures_of_passed_and_failed_tests(tmp_path: Path) -> None:
    """Figures from the test processes are printed under the name of their test."""
    (tmp_path / "test_suite.py").write_text(SUITE)
    options = "-q -n 1 -p tests.conftest -p no:cacheprovider --rootdir=. ."
    command = [sys.executable, "-m", "pytest", *options.split()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "\ntest_suite.py::test_good\n0 lost\n" in ended.stdout
    assert "\ntest_suite.py::test_bad\nseed 7\n4 lost\n" in ended.stdout
