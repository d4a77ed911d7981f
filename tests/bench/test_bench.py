"""The parts of the benchmarks that only count: what they say is only as good as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bench.environments import ALL, Environment
from tests.bench.page import put
from tests.bench.parts import PARTS
from tests.bench.progress import left, span
from tests.bench.results import Results
from tests.bench.server import kind_of
from tests.bench.spread import Spread, spread
from tests.bench.throughput.contestants import CONTESTANTS
from tests.bench.throughput.part import Throughput
from tests.bench.throughput.sizes import FULL, QUICK
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
    assert [one for environment in ALL for one in environment.requirements if "==" not in one] == []


def test_each_library_has_one_environment() -> None:
    """Two of the same name would be made in the same folder, again and again."""
    names = [environment.name for environment in ALL]
    assert sorted(set(names)) == sorted(names)
    assert {peer.environment for peer in PEERS} | {one.environment for one in CONTESTANTS} - {None} == {*ALL}


def test_an_environment_with_other_requirements_is_made_anew(tmp_path: Path) -> None:
    """A pin that has changed must not be measured in what was installed for the old one."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "installed").write_text("one==1.0")
    assert Environment("one", ("one==1.0",)).made(tmp_path)
    assert not Environment("one", ("one==1.1",)).made(tmp_path)


def test_a_quick_run_is_planned_to_end_within_two_minutes() -> None:
    """All parts of it, with some seconds for what starts them."""
    asked = Throughput(QUICK, Path())
    assert sum(part.planned(asked) for part in PARTS.values()) <= 105


def test_a_full_run_is_planned_to_end_within_three_quarters_of_an_hour() -> None:
    """Throughput within half an hour of them."""
    asked = Throughput(FULL, Path())
    assert asked.planned() <= 30 * 60
    assert sum(part.planned(asked) for part in PARTS.values()) <= 45 * 60


def test_the_page_has_a_place_for_every_part() -> None:
    """Else a run that took long could not write down what it found."""
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    names = re.findall("<!-- figures: (.*?) -->", page)
    assert sorted(names) == sorted([*PARTS, "machine", "settings"])


def test_what_is_left_takes_as_much_longer_as_what_is_done_took() -> None:
    """A machine that is half as fast as the one of the plan stays so."""
    assert left(60, [(10, 20), (20, 40)]) == 120
    assert left(60, []) == 60


def test_spans_are_told_in_minutes_when_they_are_long() -> None:
    """Nobody reads 1540 s."""
    assert (span(1540), span(40.4)) == ("26 min", "40 s")


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", ("Redis 7.0.15", 7)),
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64", ("Valkey 9.1.2", 9)),
    ],
)
def test_a_server_is_known_by_what_it_says_of_its_version(told: str, name: tuple[str, int]) -> None:
    """The page names it."""
    assert kind_of(told) == name


def test_figures_are_written_down_while_a_run_goes_on(tmp_path: Path) -> None:
    """One that is broken off is gone on with: what is done is there, and what is half done is not lost."""
    path = tmp_path / "build" / "bench.json"
    results = Results(path, quick=True)
    results.done("one", "| table |", [1], 2.5)
    results.keep("two", {"rounds": [{}]})
    again = Results(path, quick=True, resume=True)
    assert (again.table("one"), again.seconds, again.table("two")) == ("| table |", {"one": 2.5}, None)
    assert again.figures("two") == {"rounds": [{}]}


def test_a_run_of_another_size_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its figures would be mixed."""
    path = tmp_path / "bench.json"
    Results(path, quick=True).keep("one", [])
    with pytest.raises(ValueError, match="has no full run to go on with; leave --resume out to begin one"):
        Results(path, quick=False, resume=True)


def test_nothing_is_not_gone_on_with(tmp_path: Path) -> None:
    """A mistyped name must not begin an hour's run."""
    with pytest.raises(ValueError, match="has no quick run to go on with"):
        Results(tmp_path / "none.json", quick=True, resume=True)
