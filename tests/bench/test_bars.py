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
def test_a_bar_is_reached_when_a_figure_is_as_good(value: float, more: bool, word: str) -> None:
    """Rates have to be at least that, costs at most."""
    first, goal = (20, 40) if more else (40, 20)
    assert reached(value, first, goal, more=more) == word


def test_every_bar_of_a_figure_is_told_with_its_limits() -> None:
    """Of rates some are absolute, and some are multiples of a peer's of the same run."""
    medians = {"drain, jobs/s": {"aioq": 30_000.0, "repid": 10_000.0}}
    assert verdict("drain, jobs/s", medians) == ("first bar (20,000 / 40,000); first bar: 3 x repid (2.5 / 5)")


def test_a_bar_may_be_a_multiple_of_the_best_peer() -> None:
    """Whoever that is: a loss to anybody shows."""
    medians = {"enqueue one, jobs/s": {"aioq": 6_000.0, "repid": 8_000.0, "saq": 4_000.0}}
    assert "**missed**: 0.75 x best (1 / 1.46)" in verdict("enqueue one, jobs/s", medians)


def test_a_bar_may_be_a_multiple_of_another_figure_of_ours() -> None:
    """Delayed jobs must not slow a drain down."""
    medians = {"drain beside 50,000 delayed, jobs/s": {"aioq": 900.0}, "drain, jobs/s": {"aioq": 1_000.0}}
    assert verdict("drain beside 50,000 delayed, jobs/s", medians) == ("**missed**: 0.9 x drain, jobs/s (0.95 / 1)")


def test_nothing_is_said_of_what_was_not_measured() -> None:
    """Neither reached nor missed."""
    assert verdict("drain, jobs/s", {"drain, jobs/s": {"repid": 1.0}}) == ""
    assert verdict("latency p50, ms", {"latency p50, ms": {"aioq": 1.0}}) == ""


def test_every_bar_is_one_of_a_figure_that_a_full_run_has() -> None:
    """A name that was changed in one place only would drop a bar in silence."""
    figures = {figure for measure in MEASURES for figure in measure.names(FULL)}
    assert {bar.figure for bar in BARS} <= figures


@pytest.mark.parametrize(("value", "text"), [(12345.6, "12,346"), (0.12345, "0.123"), (0, "0"), (99.94, "99.9")])
def test_figures_have_as_many_digits_as_mean_something(value: float, text: str) -> None:
    """The rest is noise."""
    assert number(value) == text
