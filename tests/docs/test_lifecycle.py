"""The picture and the table of docs/lifecycle.md are those of the table in the code."""

from __future__ import annotations

import re

from aioq.model.states import TRANSITIONS, JobState, Transition, Verb
from tests.docs.lifecycle import PAGE, PICTURE, PLACES, drawing, page_with_table

HOW_TO = "run: python -m tests.docs.lifecycle"


def test_the_picture_is_current() -> None:
    """Whoever changes the table draws it again."""
    assert PICTURE.read_text() == drawing(), HOW_TO


def test_the_table_is_current() -> None:
    """The page lists every transition, and no other."""
    assert PAGE.read_text() == page_with_table(PAGE.read_text()), HOW_TO


def test_every_state_and_verb_is_drawn() -> None:
    """Each state has a box, each verb a label."""
    shown = {word for label in re.findall(r">([^<>]+)</text>", drawing()) for word in label.split(", ")}
    assert set(PLACES) == set(JobState)
    assert {*JobState, *Verb} <= shown


def test_a_group_that_is_not_whole_is_drawn_one_by_one() -> None:
    """An arrow from a frame stands for all states in it; when one of them has no such way, each has its own."""
    rows = [row for row in TRANSITIONS if row != Transition(JobState.RETRYING, Verb.CANCEL, JobState.CANCELLED)]
    assert drawing(rows).count(">cancel<") == 3
    assert drawing().count(">cancel<") == 1


def test_every_state_is_explained() -> None:
    """The page says of each state what it means."""
    assert all(f"| `{state}` | " in PAGE.read_text() for state in JobState)
