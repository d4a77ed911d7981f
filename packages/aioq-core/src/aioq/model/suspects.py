"""Decides how jobs run again whose worker crashed, and which of their crashes is the last.

A broker that finds poison jobs stores a `CrashHistory` for each job that crashed and the `Room` of each queue, and asks
these functions. They are pure. Any unit of time will do, as long as all arguments have the same.

A job with one crash is observed: a worker starts a few such jobs at a time, unless very many wait. A job with more
crashes is a suspect: a worker starts it alone. A run that lasts longer than the job had run at its crash clears it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

__all__ = [
    "EXCUSE_WINDOW",
    "MAX_EXCUSED",
    "MAX_SEARCHED",
    "STEPS",
    "SUSPECT_AFTER",
    "TURN",
    "CrashHistory",
    "Plan",
    "Room",
    "after_crash",
    "part_of",
    "plan_claim",
]

SUSPECT_AFTER: Final = 2
"""Crashes after which a job is a suspect: it is run alone, so that another crash harms no other job."""

STEPS: Final = 15
"""A worker starts this part of the waiting observed jobs at a time, and the next after this part of its lease."""

MAX_SEARCHED: Final = 25
"""Observed jobs that are started in parts. If more wait, they start at once: in parts, the jobs of a killed worker
would run again much later."""

TURN: Final = 10
"""Lease lengths for which a worker makes room for a suspect, and then does not for as long."""

MAX_EXCUSED: Final = 2
"""Crashes of a suspect that may be excused because other workers crashed as well."""

EXCUSE_WINDOW: Final = 10
"""Lease lengths before the first crash of a job, from which on crashes of other workers excuse it."""

EXTENSIONS: Final = 3
"""How often a worker extends its leases in the length of a lease."""


class CrashHistory(Struct, frozen=True):
    """What a broker stores about the crashes of a job that has not ended."""

    crashes: int = 0
    probation: float = 0.0
    """How long a run must last to clear the job; 0 without a crash."""
    since: float = 0.0
    """When the first crash was noticed."""


class Room(Struct, frozen=True):
    """The worker of a queue that makes room for a suspect: it claims nothing until it is empty."""

    worker_id: str
    until: float
    """The end of its turn."""


class Plan(NamedTuple):
    """What a claim takes of the jobs of one queue that have crashed."""

    suspect: bool
    """Whether it takes one suspect and nothing else."""
    observed: int
    """How many observed jobs it takes at most."""
    alone_for: float
    """How long the worker has to make room; 0 if it has not. It takes nothing then."""
    room: Room | None
    """What the broker has to store."""


def plan_claim(
    room: Room | None, *, worker_id: str, empty: bool, observes: bool, suspects: int, observed: int,
    lease: float, now: float,
) -> Plan:  # fmt: skip
    """Return what a claim takes of the jobs that have crashed.

    Args:
        room: What is stored.
        worker_id: The worker that claims.
        empty: Whether it holds no lease, except those of jobs that its runs have cleared.
        observes: Whether it takes observed jobs now.
        suspects: How many suspects wait.
        observed: How many observed jobs wait.
        lease: The length of its leases.
        now: The broker's clock.
    """
    if suspects and empty:
        return Plan(suspect=True, observed=0, alone_for=0.0, room=None)
    if suspects:
        room = _next_turn(room, worker_id, lease, now)
        if room.worker_id == worker_id and now < room.until:
            # Not the whole turn: another worker may take the suspect before.
            alone_for = min(room.until - now, lease / EXTENSIONS)
            return Plan(suspect=False, observed=0, alone_for=alone_for, room=room)
    return Plan(suspect=False, observed=part_of(observed) if observes else 0, alone_for=0.0, room=room)


def part_of(observed: int) -> int:
    """Return how many of the waiting observed jobs a worker starts at a time."""
    return observed if observed > MAX_SEARCHED else -(-observed // STEPS)


def _next_turn(room: Room | None, worker_id: str, lease: float, now: float) -> Room:
    """Return whose turn it is to make room, now that a busy worker claims."""
    if room is not None:
        passed = now >= room.until
        rests = room.worker_id == worker_id and now < room.until + TURN * lease
        if not passed or rests:
            return room
    return Room(worker_id, now + TURN * lease)


def after_crash(
    past: CrashHistory, *, ran: float, alone: bool, max_crashes: int, crashed_workers: int, lease: float, now: float
) -> tuple[CrashHistory, bool]:
    """Return what to store about a job after its worker crashed, and whether the job is dead.

    Args:
        past: What is stored.
        ran: How long the job is known to have run: from its claim to the latest extension of its lease.
        alone: Whether it was claimed as the only job of its worker that was not cleared.
        max_crashes: The limit of the job.
        crashed_workers: How many workers of the queue have crashed, this one included, from `EXCUSE_WINDOW` before the
            first crash of this job.
        lease: The length of the leases.
        now: The broker's clock.
    """
    # The worker may have run on until its next extension was due.
    may_have_run = ran + lease / EXTENSIONS
    if past.crashes and ran >= past.probation:
        # Doubled, so that no job can crash without end after it was cleared.
        probation = max(may_have_run, 2 * past.probation)
        return CrashHistory(past.crashes, probation, past.since), False
    crashes = past.crashes + 1
    history = CrashHistory(crashes, max(may_have_run, past.probation), past.since if past.crashes else now)
    others_crash = SUSPECT_AFTER < crashes < max_crashes + MAX_EXCUSED and crashed_workers > crashes
    return history, alone and crashes >= max_crashes and not others_crash
