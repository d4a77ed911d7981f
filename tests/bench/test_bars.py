"""Whether bars were reached is said by these functions; what they say is checked on made-up figures."""

from __future__ import annotations

import pytest

from tests.bench.bars import BARS, number, reached, verdict
from tests.bench.throughput.measures import MEASURES
from tests.bench.throughput.sizes import FULL


@pytest.mark.parametrize(
    ("value", "more", "word"),
    [
        (10, True, "**missed**"),
        (20, True, "first bar"),
        (40, True, "goal"),
        (60, False, "**missed**"),
        (40, False, "first bar"),
        (20, False, "goal"),
    ],
)
def test_reached_figure_as_good_as_bar(value: float, more: bool, word: str) -> None:
    """A rate has to be at least the bar, and a cost at most."""
    first, goal = (20, 40) if more else (40, 20)
    assert reached(value, first, goal, more=more) == word


def test_verdict_names_every_bar_with_limits() -> None:
    """A figure may have absolute bars, and bars that are multiples of a peer's figure in the same run."""
    medians = {"drain, jobs/s": {"aioq": 30_000.0, "repid": 10_000.0}}
    assert verdict("drain, jobs/s", medians) == ("first bar (20,000 / 40,000); first bar: 3 x repid (2.5 / 5)")


def test_verdict_bar_is_multiple_of_best_peer() -> None:
    """The best peer counts, whichever library that is."""
    medians = {"enqueue one, jobs/s": {"aioq": 6_000.0, "repid": 8_000.0, "saq": 4_000.0}}
    assert "**missed**: 0.75 x best (1 / 1.46)" in verdict("enqueue one, jobs/s", medians)


def test_verdict_bar_is_multiple_of_own_figure() -> None:
    """The drain beside delayed jobs is compared with the plain drain."""
    medians = {"drain beside 50,000 delayed, jobs/s": {"aioq": 900.0}, "drain, jobs/s": {"aioq": 1_000.0}}
    assert verdict("drain beside 50,000 delayed, jobs/s", medians) == ("**missed**: 0.9 x drain, jobs/s (0.95 / 1)")


def test_verdict_unmeasured_figure_is_empty() -> None:
    """A figure that was not measured is neither reached nor missed."""
    assert verdict("drain, jobs/s", {"drain, jobs/s": {"repid": 1.0}}) == ""
    assert verdict("latency p50, ms", {"latency p50, ms": {"aioq": 1.0}}) == ""


def test_bars_have_figures_of_full_run() -> None:
    """A bar whose figure was renamed would be dropped silently."""
    figures = {figure for measure in MEASURES for figure in measure.names(FULL)}
    assert {bar.figure for bar in BARS} <= figures


@pytest.mark.parametrize(("value", "text"), [(12345.6, "12,346"), (0.12345, "0.123"), (0, "0"), (99.94, "99.9")])
def test_number_has_significant_digits(value: float, text: str) -> None:
    """Figures are printed with three significant digits."""
    assert number(value) == text
