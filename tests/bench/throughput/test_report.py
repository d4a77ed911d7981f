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
    """Return rounds with these enqueue rates of libraries."""
    return [{name: Appearance({"enqueue one, jobs/s": rate}, {}, {}) for name, rate in one.items()} for one in figures]


def row(seen: list[Round], measure: Measure = ONE, size: Any = FULL) -> list[str]:
    """Return the cells of the first row of a table of ours and repid."""
    return [cell.strip() for cell in table(seen, (OURS, REPID), [measure], size).split("\n")[2].split("|")[1:-1]]


def test_table_row_has_medians_ranges_and_ratio() -> None:
    """A row has medians with their ranges, the verdict, and the ratio to the best peer."""
    seen = rounds({"aioq": 8000, "repid": 4000}, {"aioq": 6000, "repid": 5000}, {"aioq": 7000, "repid": 3000})
    assert row(seen) == [
        "enqueue one, jobs/s",
        "7,000 (6,000-8,000)",
        "goal (4,800 / 7,000); goal: 1.75 x best (1 / 1.46)",
        "1.75 x repid",
        "4,000 (3,000-5,000)",
    ]


def test_table_single_round_has_no_range() -> None:
    """The figure of one round is shown without a range."""
    assert row(rounds({"aioq": 8000, "repid": 4000}))[1] == "8,000"


def test_table_failed_cell_has_reason() -> None:
    """The cell has the reason, and no bar that would end the cell."""
    seen = [
        {"aioq": Appearance({"enqueue one, jobs/s": 9.0}, {}, {}), "repid": Appearance({}, {"one": "hung | dead"}, {})}
    ]
    assert row(seen)[-1] == "hung / dead"


def test_table_missing_feature_is_named() -> None:
    """The cell of a feature that a library lacks names the feature."""
    bulk = next(measure for measure in MEASURES if measure.name == "bulk")
    assert row([{}], bulk)[-1] == "no bulk"


def test_table_quick_run_marks_skipped_row() -> None:
    """The table of a quick run has the rows of a full one."""
    million = next(measure for measure in MEASURES if measure.name == "million-delayed")
    assert row([{}], million, QUICK)[1] == "not in a quick run"


def test_middles_failed_rounds_do_not_count() -> None:
    """The median, the least and the most are those of the rounds that succeeded."""
    seen = [*rounds({"aioq": 1.0}, {"aioq": 3.0}), {"aioq": Appearance({}, {"one": "hung"}, {})}]
    one = middles(seen)["enqueue one, jobs/s"]["aioq"]
    assert (one.median, one.least, one.most) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(("ours", "ratio"), [(3000, "**0.75 x repid**"), (4000, "1.00 x repid")])
def test_table_better_peer_is_bold(ours: float, ratio: str) -> None:
    """The ratio is bold if a peer is better than aioq."""
    assert row(rounds({"aioq": ours, "repid": 4000}))[3] == ratio
