"""Ids that aioq makes: short, in order of time, and fit for every place where an id may stand."""

from __future__ import annotations

import os
import re
import time

import pytest

from aioq.model.ids import check_name, new_id


def test_an_id_is_short_and_needs_no_quoting() -> None:
    """Twenty-one letters of the URL-safe ones, as any job id, and never what looks like an option."""
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[0-9A-Za-z_][0-9A-Za-z_-]{20}", id) for id in made)
    assert {check_name("job_id", id) for id in made} == made


def test_ids_are_in_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As texts, to the millisecond, whatever the chance in them: from today until 2109."""
    moments = [time.time_ns() // 10**6 + 10**power for power in range(13)] + [2**42 - 1]
    made: list[str] = []
    for moment, chance in zip(moments, (b"\xff" * 11, b"\0" * 11) * 7, strict=True):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment * 10**6)
        monkeypatch.setattr(os, "urandom", lambda _, chance=chance: chance)
        made.append(new_id())
    assert made == sorted(made)
    assert len({id[:7] for id in made}) == len(moments)


def test_most_of_an_id_is_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """84 bits of it: of those made in the same millisecond all are different."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000 * 10**6)
    made = [new_id() for _ in range(1000)]
    assert len({id[:7] for id in made}) == 1
    assert all(len({id[place] for id in made}) > 40 for place in range(7, 21))
