"""Each public name exists and has a docstring."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.packaging.workspace import CODE, ROOT

MODULES = sorted(
    ".".join(path.relative_to(ROOT / "packages" / distribution / "src").with_suffix("").parts).removesuffix(".__init__")
    for distribution in CODE
    for path in (ROOT / "packages" / distribution / "src").rglob("*.py")
)


def public(name: str) -> dict[str, Any]:
    """Return the public objects of a module by name."""
    module = import_module(name)
    return {public: getattr(module, public) for public in module.__all__}


def members(thing: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that a class defines."""
    for name, value in vars(thing).items():
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            yield f"{thing.__name__}.{name}", value


@pytest.mark.parametrize("name", MODULES)
def test_module_has_docstring_and_all(name: str) -> None:
    """Each module has a docstring and an `__all__`, and all of its names exist."""
    module = import_module(name)
    assert module.__doc__
    assert public(name).keys() == set(module.__all__)
    assert len(module.__all__) == len(set(module.__all__))


@pytest.mark.parametrize("name", CODE.values())
def test_package_all_has_every_imported_name(name: str) -> None:
    """A package has no name that is neither in `__all__` nor a module."""
    things = vars(import_module(name)).items()
    seen = {key for key, value in things if not key.startswith("_") and not inspect.ismodule(value)}
    assert seen - {"annotations"} == public(name).keys()


@pytest.mark.parametrize("name", CODE.values())
def test_public_names_have_docstrings(name: str) -> None:
    """Each public name has a docstring, and so has each method and property of a public class."""
    classes: list[type] = [thing for thing in public(name).values() if inspect.isclass(thing)]
    explained = dict(member for thing in classes for member in members(thing))
    explained |= {key: thing for key, thing in public(name).items() if inspect.isclass(thing) or callable(thing)}
    assert [key for key, thing in explained.items() if not thing.__doc__] == []
