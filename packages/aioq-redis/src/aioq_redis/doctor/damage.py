"""Finds damaged scores, records of ticks and memos in the keys of a queue, and puts them right.

Scripts survive all of them, but some are never seen again: a job whose due time is infinite is never due.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from aioq.model.cron import CronKey
from aioq.model.health import Finding, Level
from aioq_redis.doctor.keys import Found, sample_of
from aioq_redis.doctor.probes import Probes
from aioq_redis.storage.database import Database
from aioq_redis.storage.job_records import MAX_SCORE
from aioq_redis.storage.job_states import ENDED_STATES
from aioq_redis.storage.tick_format import read_record, to_milliseconds

__all__ = ["about_damage"]

MAX_DAMAGED: Final = 1000
"""Scores of a key that are put right at a time."""

MAX_KEYS: Final = 1000
"""Memos, and histories of entries, that are read in a queue."""

HOUR: Final = 3_600_000
"""Milliseconds; no lease is longer."""

DAY: Final = 24 * HOUR

SCORES: Final[Mapping[str, tuple[str, int]]] = {
    "due": ("due times of jobs", 0),
    "leased": ("deadlines of leases", HOUR),
    "waits": ("ends of waits", HOUR),
    "crashed": ("times of crashes", 0),
    "dropped": ("times at which jobs are forgotten", DAY),
    **{state.value: ("times at which ended jobs are removed", DAY) for state in ENDED_STATES.values()},
}
"""What the scores of a key are, and how many milliseconds from now a damaged one is set to."""

PRIORITY: Final = 0.25
"""The fraction of a score that stands for the usual priority; see `lua/lib/scores.lua`."""

MEMOS: Final = {
    "memo": re.compile(rb"0\d{11}=\S*( 0\d{11}=\S*)*|\S+\.\S+ [a-z]*\n.*", re.DOTALL),
    "claim": re.compile(rb"\S+\n\d+(!\d+)?\n.*", re.DOTALL),
}
"""The form of the answers that are kept for repeated requests."""

FIX: Final = "run aioq doctor --fix, and find the other program that writes to these keys"


async def about_damage(
    database: Database, probes: Probes, queue: str, found: Sequence[Found], *, fix: bool
) -> list[Finding]:
    """Return a finding for each kind of damage in a queue; with `fix`, put it right."""
    sound = [one for one in found if not one.is_mistyped]
    parts = (
        _scores(database, probes, sound, fix),
        _ticks(database, probes, sound, fix),
        _memos(database, probes, sound, fix),
    )
    damaged: dict[str, list[bytes]] = {}
    for part in parts:
        async for what, name in part:
            damaged.setdefault(what, []).append(name)
    return [_finding(f"queue {queue}", what, names, fix) for what, names in damaged.items()]


async def _scores(
    database: Database, probes: Probes, found: Sequence[Found], fix: bool
) -> AsyncIterator[tuple[str, bytes]]:
    seconds, _ = await database.command("TIME")
    for one in found:
        if one.place is None or one.place.name not in SCORES:
            continue
        what, later = SCORES[one.place.name]
        for least, most in (("-inf", "(0"), (MAX_SCORE, "+inf")):
            words = ("ZRANGEBYSCORE", one.key, least, most, "LIMIT", 0, MAX_DAMAGED)
            for member in await probes.ask("scores", *words) or ():
                yield what, member
                if fix:
                    # Only if it is still there: a script may have moved it meanwhile.
                    score = f"{int(seconds) * 1000 + later + PRIORITY:.2f}"
                    await database.command("ZADD", one.key, "XX", score, member)


async def _ticks(
    database: Database, probes: Probes, found: Sequence[Found], fix: bool
) -> AsyncIterator[tuple[str, bytes]]:
    keys = [one.key for one in found if one.place and one.place.name == "ticks"][:MAX_KEYS]
    replies = await probes.ask_each("ticks", [("ZRANGE", key, 0, MAX_DAMAGED - 1, "WITHSCORES") for key in keys])
    for key, reply in zip(keys, replies, strict=True):
        for member, score in zip(*[iter(reply or ())] * 2, strict=True):
            if _is_damaged(key, member, score):
                yield "records of ticks", key
                if fix:
                    await database.command("ZREM", key, member)


async def _memos(
    database: Database, probes: Probes, found: Sequence[Found], fix: bool
) -> AsyncIterator[tuple[str, bytes]]:
    memos = [(one.key, MEMOS[one.place.name]) for one in found if one.place and one.place.name in MEMOS][:MAX_KEYS]
    values = await probes.ask_each("memos", [("GET", key) for key, _ in memos])
    for (key, form), value in zip(memos, values, strict=True):
        if value is not None and not form.fullmatch(value):
            yield "memos", key
            if fix:
                await database.command("DEL", key)


def _is_damaged(key: bytes, member: bytes, score: Any) -> bool:
    name = key.decode("utf-8", "replace").partition("}:ticks:")[2]
    record = read_record(CronKey("", name), member)
    return record is None or to_milliseconds(record.tick) != float(score)


def _finding(subject: str, what: str, names: Sequence[bytes], fix: bool) -> Finding:
    facts = {"count": len(names)}
    if fix:
        text = f"{len(names):,} damaged {what} were put right"
        return Finding(level=Level.OK, subject=subject, text=text, facts=facts)
    text = f"{what} are damaged: {sample_of(names)}"
    return Finding(level=Level.WARN, subject=subject, text=text, advice=FIX, facts=facts)
