"""The table of throughput, of made-up figures."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.throughput.contestants import CONTESTANTS, OURS
from tests.bench.throughput.measures import MEASURES, Measure
from tests.bench.throughput.report import middles, table
from tests.bench.throughput.rounds import Appearance, Round
from tests.bench.throughput.sizes import FULL, QUICK

REPID = next(one for one in CONTESTANTS if one.name == "repid")
ONE = next(measure for measure in MEASURES if measure.name == "one")


def rounds(*figures: dict[str, float]) -> list[Round]:
    """Return rounds in each of which libraries enqueue at these rates."""
    return [{name: Appearance({"enqueue one, jobs/s": rate}, {}, {}) for name, rate in one.items()} for one in figures]


def row(seen: list[Round], measure: Measure = ONE, size: Any = FULL) -> list[str]:
    """Return the cells of the first row of a table of ours and repid."""
    return [cell.strip() for cell in table(seen, (OURS, REPID), [measure], size).split("\n")[2].split("|")[1:-1]]


def test_a_row_has_medians_with_ranges_and_a_ratio_to_the_best_peer() -> None:
    """What a reader has to know of a figure is in one line."""
    seen = rounds({"aioq": 8000, "repid": 4000}, {"aioq": 6000, "repid": 5000}, {"aioq": 7000, "repid": 3000})
    assert row(seen) == [
        "enqueue one, jobs/s",
        "7,000 (6,000-8,000)",
        "goal (4,800 / 7,000); goal: 1.75 x best (1 / 1.46)",
        "1.75 x repid",
        "4,000 (3,000-5,000)",
    ]


def test_one_round_has_no_range() -> None:
    """A figure that stands alone pretends nothing."""
    assert row(rounds({"aioq": 8000, "repid": 4000}))[1] == "8,000"


def test_the_cell_of_what_failed_says_why() -> None:
    """A bar in the reason would end the cell."""
    seen = [
        {"aioq": Appearance({"enqueue one, jobs/s": 9.0}, {}, {}), "repid": Appearance({}, {"one": "hung | dead"}, {})}
    ]
    assert row(seen)[-1] == "hung / dead"


def test_what_a_library_lacks_is_said() -> None:
    """It must not look as if it had been forgotten."""
    bulk = next(measure for measure in MEASURES if measure.name == "bulk")
    assert row([{}], bulk)[-1] == "no bulk"


def test_a_row_that_a_quick_run_leaves_out_is_there_and_says_so() -> None:
    """The table of a quick run has the rows of a full one."""
    million = next(measure for measure in MEASURES if measure.name == "million-delayed")
    assert row([{}], million, QUICK)[1] == "not in a quick run"


def test_the_middle_of_rounds_leaves_out_those_that_failed() -> None:
    """There is nothing to count in them."""
    seen = [*rounds({"aioq": 1.0}, {"aioq": 3.0}), {"aioq": Appearance({}, {"one": "hung"}, {})}]
    one = middles(seen)["enqueue one, jobs/s"]["aioq"]
    assert (one.median, one.least, one.most) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(("ours", "ratio"), [(3000, "**0.75 x repid**"), (4000, "1.00 x repid")])
def test_where_a_peer_is_better_stands_in_bold(ours: float, ratio: str) -> None:
    """Nobody has to look for the cases that we lose."""
    assert row(rounds({"aioq": ours, "repid": 4000}))[3] == ratio
