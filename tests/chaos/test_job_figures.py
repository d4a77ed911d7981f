"""The counting of jobs and the bars, on made-up events."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.fault_result import FaultResult, at_least, at_most, exactly, holds
from tests.chaos.job_figures import count_jobs
from tests.chaos.job_log import JobEvent, JobLog
from tests.chaos.scenario import Outcome


def event(kind: str, job_id: str, at: float = 0.0, attempt: int = 1) -> JobEvent:
    """Return an event of a run."""
    return JobEvent(kind=kind, job_id=job_id, attempt=attempt, epoch=attempt, pid=1, at=at)


def test_job_figures_without_faults() -> None:
    """Each job began once and ended once."""
    figures = count_jobs(["a", "b"], [event(kind, job_id, 7) for kind in ("begin", "end") for job_id in "ab"])
    assert (figures.jobs, figures.lost, figures.twice, figures.begun_again, figures.stray) == (2, 0, 0, 0, 0)
    assert figures.last_end == 7


def test_job_without_end_is_lost() -> None:
    """A job is lost if it did not begin, did not end, or raised in every run."""
    assert count_jobs(["a", "b", "c"], [event("begin", "b"), event("begin", "c"), event("raise", "c")]).lost == 3


def test_job_interrupted_and_run_again_is_not_twice() -> None:
    """A job that began twice and ended once counts as begun again, not as run twice."""
    figures = count_jobs(["a"], [event("begin", "a"), event("begin", "a", attempt=2), event("end", "a", attempt=2)])
    assert (figures.lost, figures.twice, figures.begun_again, figures.attempts) == (0, 0, 1, 2)


def test_job_ended_twice_counts_its_first_end() -> None:
    """A later end of a job does not change the last end."""
    figures = count_jobs(["a"], [event("begin", "a"), event("end", "a", 3), event("begin", "a"), event("end", "a", 9)])
    assert (figures.twice, figures.last_end) == (1, 3)


def test_job_not_enqueued_is_stray() -> None:
    """A job whose enqueue raised and that ran is stray, and changes no other figure."""
    figures = count_jobs(["a"], [event("begin", "a"), event("end", "a"), event("begin", "b"), event("end", "b", 9)])
    assert (figures.stray, figures.lost, figures.last_end) == (1, 0, 0)


def test_job_log_read_skips_incomplete_line(tmp_path: Path) -> None:
    """Another process reads the log while it grows; an incomplete line is read the next time."""
    writer, reader = JobLog(tmp_path / "journal"), JobLog(tmp_path / "journal")
    assert reader.read() == []
    ctx = {"job_id": "a", "attempt": 1, "epoch": 2}
    writer.write("begin", ctx)
    assert [(event.kind, event.job_id, event.epoch) for event in reader.read()] == [("begin", "a", 2)]
    whole = (tmp_path / "journal").read_bytes()
    with (tmp_path / "journal").open("ab") as file:
        file.write(whole[:9])
        file.flush()
        assert len(reader.read()) == 1
        file.write(whole[9:])
    assert len(reader.read()) == 2


def test_missed_bars_name_condition_and_actual_value() -> None:
    """A result lists the bars that were not reached, on demand without measured ones, and its row counts them."""
    share = at_least("share", 0.4, 0.5, measured=True)
    bars = [at_most("lost", 1, 0), share, exactly("code", 3, 0), holds("alive", False)]
    result = FaultResult(
        fault="F1", case="small", seed=1, jobs=1, lost=1, twice=0, late=0.0, exits=0, seconds=1.0,
        bars=[*bars, at_most("late", 2.0, 2.0), holds("up", True)],
    )  # fmt: skip
    missed = [
        "F1 small: lost ≤ 0, but it was 1",
        "F1 small: share ≥ 0.5, but it was 0.4",
        "F1 small: code = 0, but it was 3",
        "F1 small: alive, but it was no",
    ]
    assert result.missed_bars() == missed
    assert result.missed_bars(measured=False) == [missed[0], *missed[2:]]
    assert result.row()["bars"] == "2 of 6 MISSED"


def test_outcome_with_leak_misses_a_bar() -> None:
    """A leak is a missed bar, whatever the other figures are."""
    figures = count_jobs(["a"], [event("begin", "a"), event("end", "a")])
    for leaks, missed in (([], 0), (["jobs are in none of ready, due and leased, and never run: a"], 1)):
        outcome = Outcome(figures=figures, stuck=0, dead=0, exits=0, errors=0, leaks=leaks, seconds=1.0)
        sentences = outcome.result("F0", "", seed=1, bars=[]).missed_bars()
        assert len(sentences) == missed
        assert all("jobs are in none of ready" in one for one in sentences)
