"""What an app's entries are registered under: a name, or else the module that makes the app."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aioq import Aarq
from aioq.backends import MemoryBroker

SHOP = """
from aioq import Aarq
from aioq.backends import MemoryBroker

class Shop(Aarq):
    pass

app = Shop(MemoryBroker())
if __name__ == "__main__":
    print(app.name)
"""


def run(*arguments: str, folder: Path) -> str:
    """Return what Python prints."""
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_app_name_explicit() -> None:
    """An explicit name is used wherever the app is made."""
    assert Aarq(MemoryBroker(), name="shop").name == "shop"


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("a b", ValueError, "name 'a b' is not of the form"),
        ("", ValueError, "name '' is not of the form"),
        (5, TypeError, "name must be text, got int"),
    ],
)
def test_app_name_invalid_is_rejected(name: Any, kind: type[Exception], text: str) -> None:
    """The name of an app is checked like other names."""
    with pytest.raises(kind, match=f"^{text}"):
        Aarq(MemoryBroker(), name=name)


def test_app_name_default_is_calling_module() -> None:
    """Every process that imports the module gets the same name."""
    assert Aarq(MemoryBroker()).name == "tests.core.test_app_name"


def test_app_name_of_subclass_is_calling_module() -> None:
    """Constructors inside aioq are skipped when the calling module is determined."""

    class Shop(Aarq):
        def __init__(self) -> None:
            super().__init__(MemoryBroker())

    assert Shop().name == "tests.core.test_app_name"


@pytest.mark.parametrize("arguments", [("shop.py",), ("-m", "shop")], ids=["a file", "a module"])
def test_app_name_of_script_is_import_name(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """For a script the name is its import name, not `__main__`."""
    (tmp_path / "shop.py").write_text(SHOP)
    assert run(*arguments, folder=tmp_path) == "shop\n"


def test_app_name_without_file_is_main(tmp_path: Path) -> None:
    """Code of the command line has the name `__main__`."""
    assert run("-c", SHOP, folder=tmp_path) == "__main__\n"


def test_app_name_replaces_invalid_characters(tmp_path: Path) -> None:
    """Characters of a module's name that are not allowed are replaced."""
    (tmp_path / "café.py").write_text(SHOP)
    assert run("-c", "import café; print(ascii(café.app.name))", folder=tmp_path) == "'caf_'\n"
