"""The parts of the benchmarks that only count: what they say is only as good as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.page import put
from tests.bench.spread import Spread, spread
from tests.bench.tools import PEERS
from tests.chaos.report import table


def test_each_figure_of_a_spread_is_one_of_the_values() -> None:
    """The middle, the one that 99 of 100 do not exceed, and the largest."""
    values = [float(number) for number in range(200, 0, -1)]
    assert spread(values) == Spread(count=200, p50=100.0, p99=198.0, largest=200.0)


def test_of_few_values_the_largest_is_the_99th_of_a_hundred() -> None:
    """There is nothing to tell them apart by."""
    assert spread([3.0, 1.0, 2.0]) == Spread(count=3, p50=2.0, p99=3.0, largest=3.0)


def test_nothing_has_no_spread() -> None:
    """A scheduler that fired nothing must not look punctual."""
    with pytest.raises(ValueError, match="there are no values"):
        spread([])


def test_a_table_names_its_columns_and_puts_numbers_to_the_right() -> None:
    """It is Markdown, and can be read as it is."""
    assert table([{"name": "a", "n": 1.5}, {"name": "longer", "n": 10}]) == (
        "| name   |   n |\n| ------ | --: |\n| a      | 1.5 |\n| longer |  10 |"
    )


def test_a_table_is_put_under_its_name(tmp_path: Path) -> None:
    """What stands elsewhere in the page stays."""
    page = tmp_path / "page.md"
    place = "<!-- figures: {} -->\n\n{}\n\n<!-- end of figures -->\n"
    page.write_text("a\n" + place.format("one", "old") + "b\n" + place.format("two", "old"))
    put(page, "two", "new")
    assert page.read_text() == "a\n" + place.format("one", "old") + "b\n" + place.format("two", "new")


def test_a_name_that_the_page_lacks_is_told(tmp_path: Path) -> None:
    """Figures must not get lost."""
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match="has no place for the figures of one"):
        put(page, "one", "new")


def test_every_requirement_of_others_is_pinned() -> None:
    """Else a figure would say nothing of the version beside it."""
    assert [one for peer in PEERS for one in peer.requirements if "==" not in one] == []
