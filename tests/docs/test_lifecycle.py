"""The drawing and the table of docs/lifecycle.md match the table of transitions in the code."""

from __future__ import annotations

import re

from aioq.model.states import TRANSITIONS, JobState, Transition, Verb
from tests.docs.lifecycle import PAGE, PICTURE, PLACES, drawing, page_with_table

HOW_TO = "run: python -m tests.docs.lifecycle"


def test_lifecycle_drawing_is_current() -> None:
    """The committed drawing equals the one that is generated from the table of transitions."""
    assert PICTURE.read_text() == drawing(), HOW_TO


def test_lifecycle_table_is_current() -> None:
    """The page lists every transition, and no other."""
    assert PAGE.read_text() == page_with_table(PAGE.read_text()), HOW_TO


def test_lifecycle_drawing_has_all_states_and_verbs() -> None:
    """Each state has a box, and each verb has a label."""
    shown = {word for label in re.findall(r">([^<>]+)</text>", drawing()) for word in label.split(", ")}
    assert set(PLACES) == set(JobState)
    assert {*JobState, *Verb} <= shown


def test_lifecycle_incomplete_group_has_single_arrows() -> None:
    """An arrow from a frame stands for all of its states; if one state lacks the verb, each has its own arrow."""
    rows = [row for row in TRANSITIONS if row != Transition(JobState.RETRYING, Verb.CANCEL, JobState.CANCELLED)]
    assert drawing(rows).count(">cancel<") == 3
    assert drawing().count(">cancel<") == 1


def test_lifecycle_page_explains_every_state() -> None:
    """The page explains each state."""
    assert all(f"| `{state}` | " in PAGE.read_text() for state in JobState)
