"""The counting of ticks, on made-up runs."""

from __future__ import annotations

from tests.chaos.run_log import Run
from tests.chaos.tick_figures import count_ticks, expected_ticks


def run(tick: float, *, late: float = 0.0, job_id: str = "", attempt: int = 1) -> Run:
    """Return a run of a tick."""
    return Run(entry="e", tick=tick, at=tick + late, worker="w", pid=1, job_id=job_id, attempt=attempt)


def test_expected_ticks_between_start_and_end() -> None:
    """The expected ticks are whole multiples of the interval, after the start and up to the end."""
    assert expected_ticks(9.9, 20, 5) == [10, 15, 20]
    assert expected_ticks(10, 14.9, 5) == []


def test_tick_figures_without_faults() -> None:
    """Every tick fired once, in time."""
    figures = count_ticks([5, 10], 5, [run(5, late=0.25), run(10, late=0.125)])
    assert (figures.fires, figures.double, figures.missed, figures.late) == (2, 0, (), 0.25)
    assert figures.missed_bars() == []


def test_missed_bars_name_each_fault() -> None:
    """A tick that fired twice, a missed tick, a run at no tick and a late tick are missed bars."""
    figures = count_ticks([5, 10, 15], 5, [run(5), run(5), run(7), run(15, late=1.5)])
    assert figures.missed_bars() == [
        "1 ticks fired twice",
        "1 of 3 ticks missed",
        "1 runs at no tick",
        "the latest fire was 1.500 s late",
    ]


def test_granted_tick_without_run_died() -> None:
    """A granted tick without a run is the fault of a crash; a tick that was not granted is the ledger's."""
    figures = count_ticks([5, 10], 5, [], granted={5})
    assert (figures.missed, figures.died) == ((10,), (5,))


def test_second_attempt_of_job_is_a_rerun() -> None:
    """A second attempt of a job counts as a rerun, not as a second firing."""
    figures = count_ticks([5], 5, [run(5, job_id="a"), run(5, job_id="a", attempt=2)])
    assert (figures.double, figures.reruns) == (0, 1)


def test_same_attempt_twice_is_double() -> None:
    """The same attempt that runs twice counts as a second firing."""
    assert count_ticks([5], 5, [run(5, job_id="a"), run(5, job_id="a")]).double == 1


def test_job_with_only_a_second_attempt_has_fired() -> None:
    """The worker of the first attempt crashed between the claim and the call."""
    figures = count_ticks([5], 5, [run(5, job_id="a", attempt=2)])
    assert (figures.fires, figures.double, figures.missed) == (1, 0, ())
