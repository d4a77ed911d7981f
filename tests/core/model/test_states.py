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


def test_transitions_reach_every_state() -> None:
    """Every state can be reached from `pending` and `scheduled`, where jobs begin."""
    assert reachable({JobState.PENDING, JobState.SCHEDULED}) == set(JobState)


@pytest.mark.parametrize("state", sorted(set(JobState) - FINAL_STATES))
def test_transitions_every_state_can_end(state: JobState) -> None:
    """From every state each of the final states can be reached."""
    assert reachable({state}) >= FINAL_STATES


def test_transitions_final_states_only_replay() -> None:
    """Only a replay leaves a final state, and none leaves `completed`."""
    out = {(row.source, row.verb) for row in TRANSITIONS if row.source in FINAL_STATES}
    assert out == {(state, Verb.REPLAY) for state in FINAL_STATES - {JobState.COMPLETED}}


def test_transitions_are_unique() -> None:
    """A verb leads from a state to one other state."""
    assert len(LEGAL) == len(TRANSITIONS)


def test_transitions_only_claim_starts_a_job() -> None:
    """Only a claim leads to `running`, and only from `pending`."""
    assert [(row.source, row.verb) for row in TRANSITIONS if row.target is JobState.RUNNING] == [
        (JobState.PENDING, Verb.CLAIM)
    ]


@pytest.mark.parametrize(("state", "verb"), list(product(JobState, Verb)))
def test_after_knows_only_the_table(state: JobState, verb: Verb) -> None:
    """`after` accepts the rows of the table, and rejects all others with a text."""
    if (state, verb) in LEGAL:
        assert after(state, verb) is LEGAL[state, verb]
    else:
        with pytest.raises(IllegalTransition, match=f"^a {state} job has no transition {verb}$") as caught:
            after(state, verb)
        assert (caught.value.state, caught.value.verb) == (state, verb)


def test_states_are_lower_case_words() -> None:
    """States are stored and shown as lower-case words."""
    assert {str(state) for state in JobState} == {
        "pending", "scheduled", "running", "retrying", "completed", "failed", "cancelled", "dead", "expired",
    }  # fmt: skip
