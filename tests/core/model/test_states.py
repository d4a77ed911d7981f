"""The life of a job, as a table."""

from __future__ import annotations

from itertools import product

import pytest

from aioq.model.states import FINAL_STATES, TRANSITIONS, IllegalTransition, JobState, Verb, after

LEGAL = {(row.source, row.verb): row.target for row in TRANSITIONS}


def reachable(start: set[JobState]) -> set[JobState]:
    """Return where jobs can get to."""
    found = set(start)
    while more := {row.target for row in TRANSITIONS if row.source in found} - found:
        found |= more
    return found


def test_every_state_can_be_reached() -> None:
    """From `pending` and `scheduled`, where jobs begin."""
    assert reachable({JobState.PENDING, JobState.SCHEDULED}) == set(JobState)


@pytest.mark.parametrize("state", sorted(set(JobState) - FINAL_STATES))
def test_every_job_can_end(state: JobState) -> None:
    """From every state each of the final ones can be reached."""
    assert reachable({state}) >= FINAL_STATES


def test_final_states_are_left_by_replay_alone() -> None:
    """Nothing but an operator wakes a job that has ended, and nothing wakes one that completed."""
    out = {(row.source, row.verb) for row in TRANSITIONS if row.source in FINAL_STATES}
    assert out == {(state, Verb.REPLAY) for state in FINAL_STATES - {JobState.COMPLETED}}


def test_no_way_is_listed_twice() -> None:
    """A verb leads from a state to one other."""
    assert len(LEGAL) == len(TRANSITIONS)


def test_only_a_claim_starts_a_job() -> None:
    """Whatever runs was claimed, and only what is due can be."""
    assert [(row.source, row.verb) for row in TRANSITIONS if row.target is JobState.RUNNING] == [
        (JobState.PENDING, Verb.CLAIM)
    ]


@pytest.mark.parametrize(("state", "verb"), list(product(JobState, Verb)))
def test_the_table_is_the_law(state: JobState, verb: Verb) -> None:
    """`after` knows exactly the rows of the table, and refuses all else in words."""
    if (state, verb) in LEGAL:
        assert after(state, verb) is LEGAL[state, verb]
    else:
        with pytest.raises(IllegalTransition, match=f"^a {state} job has no transition {verb}$") as caught:
            after(state, verb)
        assert (caught.value.state, caught.value.verb) == (state, verb)


def test_states_are_words() -> None:
    """They are stored and shown as lower-case words."""
    assert {str(state) for state in JobState} == {
        "pending", "scheduled", "running", "retrying", "completed", "failed", "cancelled", "dead", "expired",
    }  # fmt: skip
