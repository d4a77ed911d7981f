"""What a package says is public is there, and is explained."""

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
    """Return what a module says is public, by name."""
    module = import_module(name)
    return {public: getattr(module, public) for public in module.__all__}


def members(thing: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties that a class defines itself."""
    for name, value in vars(thing).items():
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            yield f"{thing.__name__}.{name}", value


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is_and_what_is_public(name: str) -> None:
    """Each has a docstring and a list of public names, all of which exist."""
    module = import_module(name)
    assert module.__doc__
    assert public(name).keys() == set(module.__all__)
    assert len(module.__all__) == len(set(module.__all__))


@pytest.mark.parametrize("name", CODE.values())
def test_a_package_lists_all_that_it_imports_for_its_users(name: str) -> None:
    """There is no name in it that is neither public nor a module."""
    things = vars(import_module(name)).items()
    seen = {key for key, value in things if not key.startswith("_") and not inspect.ismodule(value)}
    assert seen - {"annotations"} == public(name).keys()


@pytest.mark.parametrize("name", CODE.values())
def test_public_names_are_explained(name: str) -> None:
    """So is each method and property of a public class."""
    classes: list[type] = [thing for thing in public(name).values() if inspect.isclass(thing)]
    explained = dict(member for thing in classes for member in members(thing))
    explained |= {key: thing for key, thing in public(name).items() if inspect.isclass(thing) or callable(thing)}
    assert [key for key, thing in explained.items() if not thing.__doc__] == []
