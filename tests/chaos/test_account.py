"""Counting what became of jobs: the counting itself is counted on, so it is tested on made-up runs."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.account import reckon
from tests.chaos.journal import Journal, Mark
from tests.chaos.stage import Outcome
from tests.chaos.verdict import Verdict, at_least, at_most, exactly, holds


def mark(what: str, job_id: str, at: float = 0.0, attempt: int = 1) -> Mark:
    """Return something that a run did."""
    return Mark(what=what, job_id=job_id, attempt=attempt, epoch=attempt, pid=1, at=at)


def test_all_is_well() -> None:
    """Each job began once, and ended once."""
    account = reckon(["a", "b"], [mark(what, job_id, 7) for what in ("begin", "end") for job_id in "ab"])
    assert (account.jobs, account.lost, account.twice, account.begun_again, account.stray) == (2, 0, 0, 0, 0)
    assert account.last_end == 7


def test_a_job_that_never_came_to_its_end_is_lost() -> None:
    """Also one that was begun, and one whose every run raised."""
    assert reckon(["a", "b", "c"], [mark("begin", "b"), mark("begin", "c"), mark("raise", "c")]).lost == 3


def test_a_job_that_was_cut_and_run_again_did_not_run_twice() -> None:
    """It began twice, and ended once."""
    account = reckon(["a"], [mark("begin", "a"), mark("begin", "a", attempt=2), mark("end", "a", attempt=2)])
    assert (account.lost, account.twice, account.begun_again, account.attempts) == (0, 0, 1, 2)


def test_a_job_that_ended_twice_counts_by_its_first_end() -> None:
    """What came later was work for nothing, and does not make it late."""
    account = reckon(["a"], [mark("begin", "a"), mark("end", "a", 3), mark("begin", "a"), mark("end", "a", 9)])
    assert (account.twice, account.last_end) == (1, 3)


def test_a_run_that_nobody_asked_for_is_stray() -> None:
    """A job whose enqueue raised, and which is there all the same, is no job to be counted on, nor a lost one."""
    account = reckon(["a"], [mark("begin", "a"), mark("end", "a"), mark("begin", "b"), mark("end", "b", 9)])
    assert (account.stray, account.lost, account.last_end) == (1, 0, 0)


def test_a_journal_is_read_as_it_grows(tmp_path: Path) -> None:
    """By others than those who write; a line that is not there as a whole is left for the next time."""
    writer, reader = Journal(tmp_path / "journal"), Journal(tmp_path / "journal")
    assert reader.read() == []
    ctx = {"job_id": "a", "attempt": 1, "epoch": 2}
    writer.write("begin", ctx)
    assert [(mark.what, mark.job_id, mark.epoch) for mark in reader.read()] == [("begin", "a", 2)]
    whole = (tmp_path / "journal").read_bytes()
    with (tmp_path / "journal").open("ab") as file:
        file.write(whole[:9])
        file.flush()
        assert len(reader.read()) == 1
        file.write(whole[9:])
    assert len(reader.read()) == 2


def test_each_bar_says_what_it_wanted_and_what_it_saw() -> None:
    """A verdict names those that were not reached, and its row counts them."""
    bars = [at_most("lost", 1, 0), at_least("share", 0.4, 0.5), exactly("code", 3, 0), holds("alive", False)]
    verdict = Verdict(
        fault="F1", case="small", seed=1, jobs=1, lost=1, twice=0, late=0.0, exits=0, seconds=1.0,
        bars=[*bars, at_most("late", 2.0, 2.0), holds("up", True)],
    )  # fmt: skip
    assert verdict.faults() == [
        "F1 small: lost ≤ 0, but it was 1",
        "F1 small: share ≥ 0.5, but it was 0.4",
        "F1 small: code = 0, but it was 3",
        "F1 small: alive, but it was no",
    ]
    assert verdict.row()["bars"] == "2 of 6 MISSED"


def test_a_leak_is_a_fault_of_its_own() -> None:
    """Whatever else was reached."""
    account = reckon(["a"], [mark("begin", "a"), mark("end", "a")])
    for leaks, faults in (([], 0), (["jobs are in no place, and never run: a"], 1)):
        outcome = Outcome(account=account, stuck=0, dead=0, exits=0, errors=0, leaks=leaks, seconds=1.0)
        said = outcome.verdict("F0", "", seed=1, bars=[]).faults()
        assert len(said) == faults
        assert all("jobs are in no place" in one for one in said)
