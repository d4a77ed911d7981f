"""The reader of checkouts finds every module and no leftovers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.checkouts import make_checkout
from tests.architecture.source import packages, source_folders


def test_packages_reads_modules_with_their_names(tmp_path: Path) -> None:
    """Modules of subpackages have dotted names, and a subpackage has the name of its folder."""
    make_checkout(tmp_path, {"one": "a = 1\n", "sub.__init__": "", "sub.two": ""})
    (package,) = packages(tmp_path)
    assert [module.name for module in package.modules] == ["ours", "ours.one", "ours.sub", "ours.sub.two"]
    assert [module.text for module in package.modules if module.name == "ours.one"] == ["a = 1\n"]
    assert source_folders(tmp_path) == [tmp_path / "packages" / "dist" / "src"]


def test_entries_count_modules_and_folders_with_files(tmp_path: Path) -> None:
    """A folder of scripts counts; a marker file, the package's own modules and a folder of caches do not."""
    top = make_checkout(tmp_path, {"one": "", "__main__": "", "sub.__init__": ""})
    (top / "py.typed").touch()
    for folder, name in (("lua", "claim.lua"), ("moved/__pycache__", "old.pyc")):
        (top / folder).mkdir(parents=True)
        (top / folder / name).touch()
    (package,) = packages(tmp_path)
    assert package.entries == ("lua", "one", "sub")
    assert len(package.scripts) == 1


def test_packages_of_another_folder_fails(tmp_path: Path) -> None:
    """The error names what is missing."""
    with pytest.raises(ValueError, match="it is not a checkout of aioq"):
        packages(tmp_path)
