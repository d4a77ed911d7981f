"""Checks that the keys of one queue are consistent with each other.

A snapshot may be incomplete: it has only the first ids of a long key. A check that needs all ids of a
key is skipped, or compares the sizes of the keys instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

from aioq.model.health import Finding, Level
from aioq_redis.doctor.keys import sample_of
from aioq_redis.doctor.snapshot import Snapshot

__all__ = ["leaks_of"]

MAX_WAKE_TOKENS: Final = 100

ORPHANS: Final = "records of ended jobs are in no index, so nothing removes them"
NOWHERE: Final = "jobs are in none of ready, due and leased, and never run"

FIND_WRITER: Final = "find the other program that writes to these keys or deletes from them"
ENQUEUE_AGAIN: Final = "cancel these jobs, and enqueue them again"
REMOVE: Final = f"remove them with aioq doctor --fix, and {FIND_WRITER}"
CANCELLED: Final = f"remove them by hand, and {FIND_WRITER}"

Leak: TypeAlias = tuple[Level, int, str, str]
"""The level, the number of ids (0 if the check has passed), the text and the advice."""


def leaks_of(queue: str, snapshot: Snapshot) -> list[Finding]:
    """Return a finding for each inconsistency of a queue."""
    leaks = (*_locations(snapshot), *_runs(snapshot), *_ended(snapshot), *_failures(snapshot), *_tokens(snapshot))
    return [
        Finding(level=level, subject=f"queue {queue}", text=text, advice=advice, facts={"count": count})
        for level, count, text, advice in leaks
        if count
    ]


def _leak(level: Level, ids: Collection[bytes], what: str, advice: str) -> Leak:
    return level, len(ids), f"{what}: {sample_of(ids)}", advice


def _locations(snapshot: Snapshot) -> Iterable[Leak]:
    """A job that has not ended is in a ready list, in `due` or in `leased`, and only there."""
    ready = snapshot.ready
    cancelled_ids = snapshot.cancelled_ids
    due = snapshot.due
    leased = snapshot.leased
    jobs = snapshot.jobs
    # Without all cancelled ids, any id in a ready list may be that of a cancelled job.
    cancelled = set(cancelled_ids.ids if cancelled_ids.is_complete else ready.ids)
    # An id that is in the ready lists several times counts each time.
    located = Counter(id for id in ready.ids if id not in cancelled) + Counter(due.ids) + Counter(leased.ids)
    twice = {id for id, count in located.items() if count > 1}
    yield _leak(Level.WARN, snapshot.absent, "ids without a job are in ready, due or leased", FIND_WRITER)
    yield _leak(Level.WARN, twice, "jobs are in two of ready, due and leased", FIND_WRITER)
    if all(part.is_complete for part in (ready, cancelled_ids, due, leased, jobs)):
        yield _leak(Level.FAIL, set(jobs.ids) - located.keys(), NOWHERE, ENQUEUE_AGAIN)
    else:
        # Cancelled ids count as ready here: such an id may be in the ready lists twice, or in none.
        missing = max(jobs.size - ready.size - due.size - leased.size, 0)
        yield Level.FAIL, missing, f"at least {missing} {NOWHERE}", ENQUEUE_AGAIN
    if ready.is_complete and cancelled_ids.is_complete:
        yield _leak(
            Level.WARN, set(cancelled_ids.ids) - set(ready.ids), "cancelled ids are in no ready list", CANCELLED
        )


def _runs(snapshot: Snapshot) -> Iterable[Leak]:
    """A running job has a lease and a history, and only a job that was attempted before has attempts."""
    if not snapshot.runs.is_complete:
        return
    runs = snapshot.runs.prefixes
    running = {id for id, prefix in runs.items() if prefix.startswith(b"r")}
    told = {id for id, prefix in runs.items() if prefix[1:2] in (b"1", b"3")}
    if snapshot.jobs.is_complete:
        yield _leak(Level.WARN, runs.keys() - set(snapshot.jobs.ids), "runs without a job are stored", REMOVE)
    if snapshot.leased.is_complete:
        leased = set(snapshot.leased.ids)
        unowned = leased - running - set(snapshot.absent)
        yield _leak(Level.FAIL, running - leased, "running jobs have no lease, and never run again", ENQUEUE_AGAIN)
        yield _leak(Level.WARN, unowned, "leases without a running job are stored", FIND_WRITER)
    if snapshot.attempts.is_complete:
        attempts = set(snapshot.attempts.ids)
        yield _leak(Level.WARN, attempts - told, "attempts of jobs that have none are stored", REMOVE)
        yield _leak(Level.WARN, told - attempts, "jobs that had attempts have none stored", FIND_WRITER)


def _ended(snapshot: Snapshot) -> Iterable[Leak]:
    """The record of an ended job is in the index of its final state, and in no other."""
    if not (snapshot.ended.is_complete and all(index.is_complete for index in snapshot.indexes.values())):
        orphans = max(snapshot.ended.size - sum(index.size for index in snapshot.indexes.values()), 0)
        yield Level.WARN, orphans, f"at least {orphans:,} {ORPHANS}", REMOVE
        return
    ended = snapshot.ended.prefixes
    indexed = {id: letter for letter, index in snapshot.indexes.items() for id in index.ids}
    # The script reads no letter of a long record.
    astray = {id for id, letter in ended.items() if id in indexed and letter and indexed[id] != letter}
    several = sum(index.size for index in snapshot.indexes.values()) - len(indexed)
    yield _leak(Level.WARN, ended.keys() - indexed.keys(), ORPHANS, REMOVE)
    yield _leak(Level.WARN, astray, "records of ended jobs are in the index of another state", FIND_WRITER)
    yield _leak(Level.WARN, indexed.keys() - ended.keys(), "ended jobs have no record", FIND_WRITER)
    yield Level.WARN, several, f"{several} ended jobs are in the indexes of two states", FIND_WRITER
    if snapshot.jobs.is_complete:
        both = ended.keys() & set(snapshot.jobs.ids)
        yield _leak(Level.WARN, both, "jobs are stored both as ended and as not ended", FIND_WRITER)


def _failures(snapshot: Snapshot) -> Iterable[Leak]:
    """The keys of the listed failures have the same failures."""
    several = max(snapshot.listed) - min(snapshot.listed)
    sizes = ", ".join(f"{size:,}" for size in snapshot.listed)
    text = f"{several:,} failures are in some keys of the list only, which have {sizes}"
    yield Level.WARN, several, text, f"dismiss them with aioq jobs failures dismiss, and {FIND_WRITER}"


def _tokens(snapshot: Snapshot) -> Iterable[Leak]:
    over = max(snapshot.wake - MAX_WAKE_TOKENS, 0)
    yield Level.WARN, over, f"{snapshot.wake} wake tokens are stored; the limit is {MAX_WAKE_TOKENS}", FIND_WRITER
