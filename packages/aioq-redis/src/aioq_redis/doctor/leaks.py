"""What must hold between the keys of one queue, and what has leaked where it does not.

Where a key has more ids than a snapshot shows, nothing is concluded from those that it does
not show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

from aioq.model.health import Finding, Level
from aioq_redis.doctor.format import some
from aioq_redis.doctor.snapshot import Snapshot

__all__ = ["leaks_of"]

MOST_TOKENS: Final = 100

FOREIGN: Final = "find out who else writes to these keys, or deletes from them"
CALL_OFF: Final = "cancel these jobs, and enqueue them again"
REMOVE: Final = f"remove them by hand, and {FOREIGN}"


def leaks_of(queue: str, seen: Snapshot) -> list[Finding]:
    """Return what is wrong with a queue; nothing when every id is in its one place."""
    return [
        Finding(level=level, subject=f"queue {queue}", text=text, advice=advice, facts={"count": count})
        for level, count, text, advice in (*_places(seen), *_runs(seen), *_ended(seen), *_tokens(seen))
        if count
    ]


def _leak(level: Level, ids: Collection[bytes], what: str, advice: str) -> tuple[Level, int, str, str]:
    return level, len(ids), f"{what}: {some(ids)}", advice


def _places(seen: Snapshot) -> Iterable[tuple[Level, int, str, str]]:
    """Every job that has not ended is in one place: in line, among the due, or leased."""
    gone = set(seen.cancelled_ids.ids) if seen.cancelled_ids.whole else set(seen.line.ids)
    pending = Counter(id for id in seen.line.ids if id not in gone)
    places = (set(pending), set(seen.due.ids), set(seen.leased.ids))
    everywhere = Counter(id for place in places for id in place)
    twice = {id for id, count in (pending + everywhere - Counter(set(pending))).items() if count > 1}
    yield _leak(Level.WARN, seen.absent, "ids that have no job are in line, among the due or leased", FOREIGN)
    yield _leak(Level.WARN, twice, "jobs are in two places", FOREIGN)
    if all(part.whole for part in (seen.line, seen.cancelled_ids, seen.due, seen.leased, seen.jobs)):
        lost = set(seen.jobs.ids) - everywhere.keys()
        yield _leak(Level.FAIL, lost, "jobs are in no place, and never run", CALL_OFF)
    else:
        # What is gone counts as in line: it may have been there twice, or not at all.
        fewest = seen.jobs.size - seen.line.size - seen.due.size - seen.leased.size
        yield Level.FAIL, max(fewest, 0), f"at least {fewest} jobs are in no place, and never run", CALL_OFF
    if seen.line.whole and seen.cancelled_ids.whole:
        yield _leak(
            Level.WARN, set(seen.cancelled_ids.ids) - set(seen.line.ids), "cancelled ids are in no ready list", REMOVE
        )


def _runs(seen: Snapshot) -> Iterable[tuple[Level, int, str, str]]:
    """A job that runs has a lease and a run, and only a job that failed before has a failure."""
    if not seen.runs.whole:
        return
    running = {id for id, mark in seen.runs.marks.items() if mark.startswith(b"r")}
    failed = {id for id, mark in seen.runs.marks.items() if mark[1:2] == b"1"}
    if seen.jobs.whole:
        yield _leak(Level.WARN, seen.runs.marks.keys() - set(seen.jobs.ids), "runs belong to no job", REMOVE)
    if seen.leased.whole:
        leased = set(seen.leased.ids)
        yield _leak(Level.FAIL, running - leased, "jobs run without a lease, and never again", CALL_OFF)
        yield _leak(Level.WARN, leased - running - set(seen.absent), "leases belong to no run", FOREIGN)
    if seen.failures.whole:
        yield _leak(Level.WARN, set(seen.failures.ids) - failed, "failures belong to no run", REMOVE)
        yield _leak(Level.WARN, failed - set(seen.failures.ids), "failures of runs are missing", FOREIGN)


def _ended(seen: Snapshot) -> Iterable[tuple[Level, int, str, str]]:
    """A record of an ended job is in the index of its end, and in no other."""
    if not (seen.ended.whole and all(index.whole for index in seen.indexes.values())):
        return
    indexed = {id: letter for letter, index in seen.indexes.items() for id in index.ids}
    astray = {id for id, mark in seen.ended.marks.items() if id not in indexed or (mark and indexed[id] != mark)}
    several = sum(index.size for index in seen.indexes.values()) - len(indexed)
    yield _leak(Level.WARN, astray, "records of ended jobs are not where they would be forgotten in time", REMOVE)
    yield _leak(Level.WARN, indexed.keys() - seen.ended.marks.keys(), "ended jobs have no record", FOREIGN)
    yield Level.WARN, several, f"{several} ended jobs have ended in two ways", FOREIGN
    if seen.jobs.whole:
        yield _leak(
            Level.WARN, seen.ended.marks.keys() & set(seen.jobs.ids), "jobs have ended and have not", FOREIGN
        )  # fmt: skip


def _tokens(seen: Snapshot) -> Iterable[tuple[Level, int, str, str]]:
    over = max(seen.wake - MOST_TOKENS, 0)
    yield Level.WARN, over, f"{seen.wake} wake tokens are left, and {MOST_TOKENS} is the limit", FOREIGN
