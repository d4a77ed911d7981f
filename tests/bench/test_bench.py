"""The parts of the benchmarks that only count: what they say is only as good as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bench.cron_next import medians
from tests.bench.environments import ALL, CRON_LIBRARIES, Environment
from tests.bench.events import costs
from tests.bench.metrics import costs as costs_of_metrics
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


def test_spread_figures_are_values() -> None:
    """The spread has the median, the value that 99 of 100 do not exceed, and the largest."""
    values = [float(number) for number in range(200, 0, -1)]
    assert spread(values) == Spread(count=200, p50=100.0, p99=198.0, largest=200.0)


def test_spread_few_values_p99_is_largest() -> None:
    """With less than a hundred values the largest one is the 99th percentile."""
    assert spread([3.0, 1.0, 2.0]) == Spread(count=3, p50=2.0, p99=3.0, largest=3.0)


def test_spread_without_values_raises() -> None:
    """A scheduler that fired nothing has no spread, so that it does not look punctual."""
    with pytest.raises(ValueError, match="there are no values"):
        spread([])


def test_table_aligns_numbers_to_the_right() -> None:
    """The table is Markdown with a heading for each column, and readable as text."""
    assert table([{"name": "a", "n": 1.5}, {"name": "longer", "n": 10}]) == (
        "| name   |   n |\n| ------ | --: |\n| a      | 1.5 |\n| longer |  10 |"
    )


def test_put_replaces_table_of_name(tmp_path: Path) -> None:
    """The table of this name is replaced, and the rest of the page stays."""
    page = tmp_path / "page.md"
    place = "<!-- figures: {} -->\n\n{}\n\n<!-- end of figures -->\n"
    page.write_text("a\n" + place.format("one", "old") + "b\n" + place.format("two", "old"))
    put(page, "two", "new")
    assert page.read_text() == "a\n" + place.format("one", "old") + "b\n" + place.format("two", "new")


def test_put_unknown_name_raises(tmp_path: Path) -> None:
    """Figures without a place in the page are an error, so that they are not lost."""
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match="has no place for the figures of one"):
        put(page, "one", "new")


def test_environments_requirements_are_pinned() -> None:
    """Each requirement has an exact version, which stands beside the figure."""
    assert [one for environment in ALL for one in environment.requirements if "==" not in one] == []


def test_environments_have_unique_names() -> None:
    """No two environments share a folder, and each library has one."""
    names = [environment.name for environment in ALL]
    assert sorted(set(names)) == sorted(names)
    used = {peer.environment for peer in PEERS} | {one.environment for one in CONTESTANTS} - {None}
    assert used | {CRON_LIBRARIES} == {*ALL}


def test_cron_next_takes_medians_of_rounds() -> None:
    """The middle round counts for each expression, and the row has the middle of these."""
    measured = [{"* * * * *": [step, 2.0], "0 9 * * *": [100.0, 4.0]} for step in (1.0, 9.0, 7.0)]
    ours = medians("aioq-cron", "1.0", measured)
    assert (ours.steps, ours.construction) == ({"* * * * *": 7.0, "0 9 * * *": 100.0}, 3.0)
    assert ours.row()["median"] == 53.5


def test_environment_changed_requirements_is_made_again(tmp_path: Path) -> None:
    """A library is not measured in what was installed for an older pin."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "installed").write_text("one==1.0")
    assert Environment("one", ("one==1.0",)).made(tmp_path)
    assert not Environment("one", ("one==1.1",)).made(tmp_path)


def test_parts_quick_run_takes_some_two_minutes() -> None:
    """The plan of a quick run leaves some seconds for the start of processes."""
    asked = Throughput(QUICK, Path())
    assert sum(part.planned(asked) for part in PARTS.values()) <= 137


def test_parts_full_run_takes_fifty_minutes() -> None:
    """The plan of a full run has half an hour for throughput."""
    asked = Throughput(FULL, Path())
    assert asked.planned() <= 30 * 60
    assert sum(part.planned(asked) for part in PARTS.values()) <= 50 * 60


def test_page_has_place_for_every_part() -> None:
    """A long run finds a place in the page for each of its tables."""
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    names = re.findall("<!-- figures: (.*?) -->", page)
    assert sorted(names) == sorted([*PARTS, "machine", "settings"])


def test_left_scales_with_time_taken() -> None:
    """The time left grows by the factor by which the finished parts exceeded their plan."""
    assert left(60, [(10, 20), (20, 40)]) == 120
    assert left(60, []) == 60


def test_span_long_time_is_in_minutes() -> None:
    """A span of more than some minutes is printed in minutes."""
    assert (span(1540), span(40.4)) == ("26 min", "40 s")


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", ("Redis 7.0.15", 7)),
        ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64", ("Valkey 9.1.2", 9)),
    ],
)
def test_kind_of_reads_server_version(told: str, name: tuple[str, int]) -> None:
    """The name and the version of a server come from its own version text."""
    assert kind_of(told) == name


def test_results_resumed_have_finished_parts(tmp_path: Path) -> None:
    """A run that was interrupted is continued: finished parts are there, and unfinished ones keep their figures."""
    path = tmp_path / "build" / "bench.json"
    results = Results(path, quick=True)
    results.done("one", "| table |", [1], 2.5)
    results.keep("two", {"rounds": [{}]})
    again = Results(path, quick=True, resume=True)
    assert (again.table("one"), again.seconds, again.table("two")) == ("| table |", {"one": 2.5}, None)
    assert again.figures("two") == {"rounds": [{}]}


def test_results_resumed_with_other_size_raises(tmp_path: Path) -> None:
    """A quick run cannot be continued as a full one, because the figures would be mixed."""
    path = tmp_path / "bench.json"
    Results(path, quick=True).keep("one", [])
    with pytest.raises(ValueError, match="has no full run to go on with; leave --resume out to begin one"):
        Results(path, quick=False, resume=True)


def test_results_resumed_without_file_raises(tmp_path: Path) -> None:
    """A mistyped name is an error, and does not begin a run of an hour."""
    with pytest.raises(ValueError, match="has no quick run to go on with"):
        Results(tmp_path / "none.json", quick=True, resume=True)


def test_event_without_listener_costs_less_than_one_with() -> None:
    """Without a listener no fact is built."""
    silent, heard = costs(2_000).values()
    assert silent < heard


def test_metrics_cost_is_measured_alone_and_shared() -> None:
    """Both ways to keep the values are measured, each in a process of its own kind."""
    found = costs_of_metrics(1_000)
    assert list(found) == ["a process alone", "a process that shares"]
    assert min(found.values()) > 0
