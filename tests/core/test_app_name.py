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


def test_a_name_is_kept() -> None:
    """It is the app's, wherever it is made."""
    assert Aarq(MemoryBroker(), name="shop").name == "shop"


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("a b", ValueError, "name 'a b' is not of the form"),
        ("", ValueError, "name '' is not of the form"),
        (5, TypeError, "name must be text, got int"),
    ],
)
def test_an_odd_name_is_refused(name: Any, kind: type[Exception], text: str) -> None:
    """It is checked like other names."""
    with pytest.raises(kind, match=f"^{text}"):
        Aarq(MemoryBroker(), name=name)


def test_an_app_is_called_after_the_module_that_makes_it() -> None:
    """Every process that imports the module finds the same name."""
    assert Aarq(MemoryBroker()).name == "tests.core.test_app_name"


def test_a_subclass_is_called_after_where_it_is_used() -> None:
    """No matter how many constructors the call goes through, as long as they are here."""

    class Shop(Aarq):
        def __init__(self) -> None:
            super().__init__(MemoryBroker())

    assert Shop().name == "tests.core.test_app_name"


@pytest.mark.parametrize("arguments", [("shop.py",), ("-m", "shop")], ids=["a file", "a module"])
def test_a_script_is_called_as_a_worker_would_import_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Not `__main__`, which is everybody's name."""
    (tmp_path / "shop.py").write_text(SHOP)
    assert run(*arguments, folder=tmp_path) == "shop\n"


def test_what_has_no_file_is_called_main(tmp_path: Path) -> None:
    """As code on the command line is."""
    assert run("-c", SHOP, folder=tmp_path) == "__main__\n"


def test_a_module_may_have_any_name(tmp_path: Path) -> None:
    """What the broker could not take is replaced."""
    (tmp_path / "café.py").write_text(SHOP)
    assert run("-c", "import café; print(ascii(café.app.name))", folder=tmp_path) == "'caf_'\n"
