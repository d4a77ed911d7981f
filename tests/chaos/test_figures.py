"""What the figures of the chaos suite count: a suite that cannot see a fault proves nothing."""

from __future__ import annotations

from tests.chaos.figures import count, grid
from tests.chaos.runs import Run


def run(tick: float, *, late: float = 0.0, job_id: str = "", attempt: int = 1) -> Run:
    """Return a run of a tick."""
    return Run(entry="e", tick=tick, at=tick + late, worker="w", pid=1, job_id=job_id, attempt=attempt)


def test_a_grid_has_the_ticks_after_its_start_up_to_its_end() -> None:
    """Whole multiples, whatever the ends are."""
    assert grid(9.9, 20, 5) == [10, 15, 20]
    assert grid(10, 14.9, 5) == []


def test_all_is_well() -> None:
    """Every tick fired once, in time."""
    figures = count([5, 10], 5, [run(5, late=0.25), run(10, late=0.125)])
    assert (figures.fires, figures.double, figures.missed, figures.late) == (2, 0, (), 0.25)
    assert figures.faults() == []


def test_each_fault_is_told() -> None:
    """A tick that fired twice, one that did not, one that is none, one that was late."""
    figures = count([5, 10, 15], 5, [run(5), run(5), run(7), run(15, late=1.5)])
    assert figures.faults() == [
        "1 ticks fired twice",
        "1 of 3 ticks missed",
        "1 runs at no tick",
        "the latest fire was 1.500 s late",
    ]


def test_a_tick_that_was_granted_and_did_not_fire_is_told_apart() -> None:
    """Its worker was killed in between; that nobody won the other is the ledger's fault."""
    figures = count([5, 10], 5, [], granted={5})
    assert (figures.missed, figures.died) == ((10,), (5,))


def test_a_jobs_second_attempt_is_no_second_fire() -> None:
    """Its worker was killed, and it runs again: that is what jobs are for."""
    figures = count([5], 5, [run(5, job_id="a"), run(5, job_id="a", attempt=2)])
    assert (figures.double, figures.reruns) == (0, 1)


def test_the_same_attempt_twice_is_a_second_fire() -> None:
    """Nothing has failed, and yet it ran twice."""
    assert count([5], 5, [run(5, job_id="a"), run(5, job_id="a")]).double == 1


def test_a_job_whose_first_attempt_began_nothing_has_fired() -> None:
    """Its worker was killed between the claim and the call."""
    figures = count([5], 5, [run(5, job_id="a", attempt=2)])
    assert (figures.fires, figures.double, figures.missed) == (1, 0, ())
