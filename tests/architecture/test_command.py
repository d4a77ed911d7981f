"""The command prints the figures of checkouts, as tables or as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.architecture.__main__ import main
from tests.architecture.checkouts import make_checkout
from tests.architecture.report import compared


def test_command_prints_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A section has a row for each package."""
    make_checkout(tmp_path, {"one": "import ours.two\n", "two": ""})
    assert main(["--source", str(tmp_path), "--no-walks"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("## Sizes\n\n| package ")
    assert "Call paths" not in printed
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("| ours")] == ["ours", "ours"]


def test_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures are numbers."""
    make_checkout(tmp_path, {"one": "import ours.two\n", "two": ""})
    main(["--source", str(tmp_path), "--no-walks", "--json"])
    (row,) = json.loads(capsys.readouterr().out)["Imports"]
    assert (row["package"], row["top-level entries"], row["import depth between them"]) == ("ours", 2, 2)


def test_command_refuses_a_folder_without_packages(tmp_path: Path) -> None:
    """It exits with the reason."""
    with pytest.raises(SystemExit, match="it is not a checkout of aioq"):
        main(["--source", str(tmp_path), "--no-walks"])


def test_compared_shows_both_values_where_they_differ() -> None:
    """Rows are matched by their first column; a row that is new has no value before."""
    before = [{"package": "a", "files": 3, "lines": 10}]
    after = [{"package": "a", "files": 2, "lines": 10}, {"package": "b", "files": 1, "lines": 5}]
    assert compared(before, after) == [
        {"package": "a", "files": "3 -> 2", "lines": 10},
        {"package": "b", "files": "none -> 1", "lines": "none -> 5"},
    ]
