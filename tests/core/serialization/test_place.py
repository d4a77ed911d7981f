"""The place of an exception: a function of the application, the same after an edit that moves its lines."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from aioq.model.job import Failure
from aioq.serialization.failure import PLACE_LIMIT, describe

SOURCE = """
import json

def outer(what):
    inner(what)

def inner(what):
    json.loads(what)
"""


def imported(source: str, *, module: str = "shop.tasks", file: str = "/srv/shop/tasks.py") -> Mapping[str, Any]:
    """Return the names of a module with this source, as if it were imported from that file."""
    names: dict[str, Any] = {"__name__": module}
    exec(compile(source, file, "exec"), names)  # the source is written above
    return names


def failure_of(function: Callable[..., object], *args: object, package: str = "") -> Failure:
    """Return the failure of a call that raises."""
    try:
        function(*args)
    except BaseException as error:
        return describe(error, package=package)
    pytest.fail("the call raised nothing")


def test_place_is_innermost_function_of_application() -> None:
    """The standard library raised the exception; the place is the function of the application that called it."""
    failure = failure_of(imported(SOURCE)["outer"], "{")
    assert (failure.type, failure.place) == ("JSONDecodeError", "shop.tasks:inner")


def test_place_after_edit_is_the_same() -> None:
    """Lines that were added above move the traceback, and not the place."""
    before, after = (failure_of(imported(text)["outer"], "{") for text in (SOURCE, "\n\n# new\n" + SOURCE))
    assert before.traceback != after.traceback
    assert before.place == after.place != ""


def test_place_of_installed_application_needs_its_package() -> None:
    """An application in `site-packages` is told from libraries by the package of the task."""
    outer = imported(SOURCE, file="/usr/lib/python3/site-packages/shop/tasks.py")["outer"]
    assert failure_of(outer, "{", package="shop").place == "shop.tasks:inner"
    assert failure_of(outer, "{", package="sho").place == f"{__name__}:failure_of"


def test_place_of_group_is_that_of_its_first_cause() -> None:
    """The exceptions in a group say where they were raised; the group only where it was collected."""
    names = imported(SOURCE)

    def collect() -> None:
        try:
            names["outer"]("{")
        except ValueError as error:
            raise ExceptionGroup("several", [error]) from None

    assert failure_of(collect).place == "shop.tasks:inner"


def test_place_of_group_without_tracebacks_is_its_own() -> None:
    """If the causes were never raised, the place of the group is known."""

    def collect() -> None:
        raise ExceptionGroup("several", [ValueError("a")])

    assert failure_of(collect).place == f"{__name__}:{collect.__qualname__}"


def test_place_without_frame_of_application_is_empty() -> None:
    """An exception that was never raised, and one of a library that nothing of the application called, has no place."""
    assert describe(ValueError("never raised")).place == ""
    assert failure_of(traceback.format_list, [1]).place == f"{__name__}:failure_of"


def test_place_is_bounded() -> None:
    """A function with a long name has a place of the same length as any long one."""
    long = imported(f"def {'f' * 5_000}(): raise ValueError")
    place = failure_of(long["f" * 5_000]).place
    assert len(place) == PLACE_LIMIT
    assert place.startswith("shop.tasks:fff")
