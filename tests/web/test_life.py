"""The bar of a job's life, as a pure function of its record and the time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aioq.model.job import Attempt, AttemptOutcome, JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq_web.charts.life import GAP, life_bar

JOB = JobRecord(
    id="j",
    queue="q",
    task="t",
    state=JobState.PENDING,
    payload=b"{}",
    priority=5,
    attempt=0,
    crashes=0,
    enqueued_at=100.0,
)


def attempt(number: int, start: float, seconds: float, outcome: AttemptOutcome = AttemptOutcome.RETRIED) -> Attempt:
    """Return an attempt that ran on some worker."""
    return Attempt(number=number, worker_id="w", started_at=start, duration=seconds, outcome=outcome)


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "waited for 20 s"),
        ({"state": JobState.RUNNING, "attempt": 1, "started_at": 105.0}, "waited for 5.0 s, has run for 15 s"),
        (
            {"state": JobState.COMPLETED, "attempt": 1, "started_at": 101.0, "finished_at": 103.0},
            "waited for 1.0 s, ran for 2.0 s",
        ),
        ({"state": JobState.SCHEDULED, "run_at": 130.0}, "waited for 20 s, due in 10 s"),
        ({"state": JobState.CANCELLED, "finished_at": 104.0}, "waited for 4.0 s"),
        (
            {"state": JobState.RETRYING, "attempt": 1, "started_at": 101.0, "run_at": 150.0, "attempts": (attempt(1, 101, 3),)},
            "waited for 1.0 s, attempt 1 retried after 3.0 s, waited 16 s for a retry, due in 30 s",
        ),
        (
            {
                "state": JobState.FAILED, "attempt": 7, "started_at": 116.0, "finished_at": 118.0,
                "attempts": (attempt(6, 110, 1), attempt(7, 116, 2, AttemptOutcome.FAILED)),
            },
            (
                "5 earlier attempts and waits, 10 s, attempt 6 retried after 1.0 s, waited 5.0 s for a retry, "
                "attempt 7 failed after 2.0 s"
            ),
        ),
        (
            {"state": JobState.RUNNING, "attempt": 2, "started_at": 110.0, "attempts": (attempt(1, 101, 4, AttemptOutcome.CRASHED),)},
            "waited for 1.0 s, attempt 1 crashed after 4.0 s, waited for 5.0 s, has run for 10 s",
        ),
    ],
)  # fmt: skip
def test_life_says_what_happened(changes: dict[str, Any], label: str) -> None:
    """Waits, attempts and what is to come are parts of the bar, in order."""
    assert life_bar(replace(JOB, **changes), 120.0).label == label


@given(
    state=st.sampled_from(list(JobState)),
    attempts=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50), st.sampled_from(list(AttemptOutcome))), max_size=5),
    number=st.integers(0, 9), after=st.floats(0, 50), due=st.floats(-5, 1e6),
)  # fmt: skip
def test_life_fills_its_bar(
    state: JobState, attempts: list[tuple[float, float, AttemptOutcome]], number: int, after: float, due: float
) -> None:
    """Whatever a record says, also if its times contradict each other, the parts fill the bar without overlap."""
    reached, stored = JOB.enqueued_at, []
    for place, (pause, seconds, outcome) in enumerate(attempts):
        stored.append(attempt(number + place + 1, reached + pause, seconds, outcome))
        reached += pause + seconds
    finished = reached + after if state in FINAL_STATES else None
    record = replace(
        JOB, state=state, attempt=number + len(stored), attempts=tuple(stored), finished_at=finished, run_at=due,
        started_at=stored[-1].started_at if stored else None,
    )  # fmt: skip
    bar = life_bar(record, reached + after)
    assert bar.segments[0].x == 0
    for before, segment in zip(bar.segments, bar.segments[1:], strict=False):
        assert segment.x == pytest.approx(before.x + before.width + GAP, abs=0.03)
    assert bar.segments[-1].x + bar.segments[-1].width == pytest.approx(100, abs=0.1)
    assert all(segment.width > 0.5 for segment in bar.segments)
