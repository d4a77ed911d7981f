"""Ids that aioq makes: short, in order of time, and fit for every place where an id may stand."""

from __future__ import annotations

import os
import re
import time

import pytest

from aioq.model.ids import check_name, new_id


def test_new_id_is_short_and_url_safe() -> None:
    """An id has 21 URL-safe characters and does not begin with a dash."""
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[0-9A-Za-z_][0-9A-Za-z_-]{20}", id) for id in made)
    assert {check_name("job_id", id) for id in made} == made


def test_new_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As text, ids sort by the millisecond of their creation, until 2109."""
    moments = [time.time_ns() // 10**6 + 10**power for power in range(13)] + [2**42 - 1]
    made: list[str] = []
    for moment, chance in zip(moments, (b"\xff" * 11, b"\0" * 11) * 7, strict=True):
        monkeypatch.setattr(time, "time_ns", lambda moment=moment: moment * 10**6)
        monkeypatch.setattr(os, "urandom", lambda _, chance=chance: chance)
        made.append(new_id())
    assert made == sorted(made)
    assert len({id[:7] for id in made}) == len(moments)


def test_new_ids_of_one_millisecond_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids have 84 random bits, so that ids of the same millisecond differ."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000 * 10**6)
    made = [new_id() for _ in range(1000)]
    assert len({id[:7] for id in made}) == 1
    assert all(len({id[place] for id in made}) > 40 for place in range(7, 21))
