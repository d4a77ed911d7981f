"""Lengths and comments of made-up modules."""

from __future__ import annotations

import pytest

from tests.architecture.sizes import Sizes, percentile, script_sizes, sizes
from tests.architecture.source import Module

TEXT = '''"""A module."""

# Why.
@decorated
def outer():
    """Do something.

    In two paragraphs.
    """
    a = "# no comment"  # why

    def inner():
        return a  # noqa: X1
    return inner


async def empty():
    ...
'''


def test_sizes_counts_lines_that_are_not_blank() -> None:
    """Docstrings count for a file and not for a function; a nested function counts twice."""
    measured = sizes([Module("one", TEXT)])
    assert measured.files == (13,)
    assert sorted(measured.functions) == [2, 2, 5]


def test_sizes_counts_comments_for_readers_only() -> None:
    """Neither a text with a hash nor a comment for a tool is one."""
    assert sizes([Module("one", TEXT)]).comments == 2


def test_script_sizes_counts_lines_and_comments() -> None:
    """Scripts have no functions to measure."""
    assert script_sizes(["-- Why.\n\nreturn 1 -- one\n", "return 2\n"]) == Sizes((2, 1), (), 2)


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.9, 9), (1, 10)])
def test_percentile_is_one_of_the_values(share: float, value: int) -> None:
    """Nine of ten values do not exceed the 90th percentile."""
    assert percentile([*range(10, 0, -1)], share) == value


def test_percentile_of_no_values_is_zero() -> None:
    """A package may have no functions."""
    assert percentile([], 0.5) == 0


def test_row_adds_up_packages() -> None:
    """The shares of all are of all lines."""
    both = Sizes((10, 30), (4,), 2) + Sizes((60,), (8, 9), 3)
    assert (both.row()["lines"], both.row()["functions"], both.row()["comments, % of lines"]) == (100, 3, 5.0)
