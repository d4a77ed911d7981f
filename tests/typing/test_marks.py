"""The files beside this one are read by type checkers and not run; this keeps them strict."""

from __future__ import annotations

from pathlib import Path

import pytest

FILES = sorted(path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_"))


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_unneeded_type_ignore_is_an_error(path: Path) -> None:
    """Pyright is configured in each file; mypy's strict mode does it by itself."""
    assert path.read_text().startswith("# pyright: strict, reportUnnecessaryTypeIgnoreComment=true\n")
