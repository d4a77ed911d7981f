"""Comparing two checkouts: the order of the sides, the table, and a miniature run of this checkout against itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.compare import AGAIN, BASE, COMPARED, ROOT, SIDES, SOURCE, Comparison, Values, order, rows
from tests.bench.throughput.sizes import QUICK
from tests.servers import found

LITTLE = replace(QUICK, rounds=2, share=0.005, singles=20, late=10, patience=30)
MEASURED = ("drain",)


def values(base: float, source: float, again: float) -> Values:
    """Return three rounds of every figure, with these medians."""
    return {
        figure: {
            side: [value * 0.9, value * 1.5, value] for side, value in zip(SIDES, (base, source, again), strict=True)
        }
        for figure in COMPARED.values()
    }


def test_order_gives_every_side_every_place() -> None:
    """In twelve rounds each side is measured four times first, second and last."""
    places = Counter((side, place) for number in range(12) for place, side in enumerate(order(number)))
    assert places == {(side, place): 4 for side in SIDES for place in range(3)}


def test_rows_show_medians_and_differences_to_the_base() -> None:
    """The difference between the two measurements of the base is the noise."""
    row = next(row for row in rows(values(100, 97, 101), within=5) if row["median (quartiles)"] == "drain, jobs/s")
    assert (row[BASE], row["difference"], row["noise"]) == ("100 (95-125)", "-3.0 %", "+1.0 %")
    assert (row[SOURCE], row[AGAIN]) == ("97 (92.2-121)", "101 (96-126)")


@pytest.mark.parametrize(
    ("source", "verdicts"),
    [(94, ["no", "no", "no", "yes"]), (106, ["yes", "yes", "yes", "no"]), (104, ["yes"] * 4), (96, ["yes"] * 4)],
)
def test_rows_limit_only_what_is_worse(source: float, verdicts: list[str]) -> None:
    """Rates are worse if they are lower, and latencies if they are higher."""
    assert [row["within 5 %"] for row in rows(values(100, source, 100), within=5)] == verdicts


@pytest.mark.skipif(not {"redis", "valkey"} & found().keys(), reason="no server is installed")
@pytest.mark.timeout(180)  # its processes are pinned to a core each, which the other tests use as well
def test_comparison_measures_every_side() -> None:
    """Each round has one value of each figure for each side, and is handed over when it is over."""
    kept: list[int] = []
    figures = [COMPARED[measure] for measure in MEASURED]

    def keep(values: Values) -> None:
        kept.append(len(values[figures[0]][BASE]))

    measured = Comparison(ROOT, ROOT, LITTLE, keep, MEASURED).run()
    assert kept == [1, 2]
    assert {*figures} <= measured.keys()
    assert all(len(measured[figure][side]) == 2 for figure in measured for side in SIDES)
    assert all(value > 0 for figure in figures for side in SIDES for value in measured[figure][side])


def test_comparison_with_another_folder_fails(tmp_path: Path) -> None:
    """The installed packages are not measured in place of those that are missing."""
    with pytest.raises(RuntimeError, match="aioq cannot be imported from the checkout"):
        Comparison(tmp_path, ROOT, LITTLE, lambda values: None).run()
