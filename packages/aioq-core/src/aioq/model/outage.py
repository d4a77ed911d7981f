"""Decides whether all workers of a queue were cut off from the broker, and what that means for leases that ran out.

A worker gives a sign of life for each of its queues about three times per lease: it extends the leases that it holds
there, and it reaps. A broker stores `SignsOfLife` for each queue, and passes it through these functions. They are pure,
and any unit of time will do, as long as all arguments have the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, structs

__all__ = ["SignsOfLife", "forgives", "note_extended", "note_sign", "reapable", "set_back"]

SILENCE = 2 / 3
"""Lease lengths without a sign of life after which there was an outage.

The leases of a worker run out no sooner than this after its latest sign: it may reap just before it is due to extend.
A healthy worker stays below it by a quarter of a lease, see `INTERVAL`.
"""

INTERVAL = 5 / 12
"""Lease lengths after which the next sign of life of a healthy worker is due: a third, and a quarter of that later."""


class SignsOfLife(Struct, frozen=True, kw_only=True):
    """What a broker stores about the signs of life of the workers of one queue."""

    seen: float
    """The latest sign."""
    next_by: float
    """After this moment, a further sign means that there was an outage before it."""
    lease: float
    """The length of the leases of the worker whose next sign is awaited longest."""
    wait_until: float = 0.0
    """The end of the wait after the latest outage, in which living workers extend."""
    noticed: float = 0.0
    """When the latest outage was noticed."""
    noticed_before: float = 0.0
    """When the outage before it was noticed."""
    give_up: float = 0.0
    """When the one before that was noticed. Leases that ran out earlier are not waited for any more.

    Workers that run for less than a lease at a time, as in bursts, see an outage at each start, and would never reap.
    """
    claimed_by: float = 0.0
    """Leases that were claimed by then belong to workers from before the latest outage."""
    survived: bool = False
    """Whether one of those leases has been extended since: the outage was not the crash of all workers."""


def note_sign(signs: SignsOfLife | None, now: float, *, lease: float) -> SignsOfLife:
    """Return what to store after a worker has extended or reaped.

    Args:
        signs: What is stored; None for a queue without an earlier sign.
        now: The broker's clock.
        lease: The length of the worker's leases.
    """
    next_by = now + lease * SILENCE
    if signs is None:
        return SignsOfLife(seen=now, next_by=next_by, lease=lease)
    if now > signs.next_by or set_back(signs, now):
        return _after_outage(signs, SignsOfLife(seen=now, next_by=next_by, lease=lease))
    if next_by < signs.next_by:
        # Workers with longer leases give signs less often: those of others must not make their silence an outage.
        return structs.replace(signs, seen=now)
    return structs.replace(signs, seen=now, next_by=next_by, lease=lease)


def _after_outage(before: SignsOfLife, sign: SignsOfLife) -> SignsOfLife:
    was_set_back = set_back(before, sign.seen) > 0
    return structs.replace(
        sign,
        wait_until=sign.seen + max(sign.lease, before.lease),
        noticed=sign.seen,
        # Moments of a clock that was set back say nothing on the new one.
        noticed_before=0.0 if was_set_back else before.noticed,
        give_up=0.0 if was_set_back else before.noticed_before,
        claimed_by=before.seen + before.lease * INTERVAL,
    )


def note_extended(signs: SignsOfLife, claimed: Iterable[float]) -> SignsOfLife:
    """Return what to store after leases have been extended; call it after `note_sign`.

    Args:
        claimed: When each of these leases was claimed.
    """
    if not signs.wait_until or signs.survived or not any(moment <= signs.claimed_by for moment in claimed):
        return signs
    return structs.replace(signs, survived=True)


def reapable(signs: SignsOfLife, now: float) -> float:
    """Return the moment by which a lease must have run out to be taken back; call it after `note_sign`."""
    return now if now >= signs.wait_until else min(signs.give_up, now)


def forgives(signs: SignsOfLife, deadline: float) -> bool:
    """Return whether a lease that ran out at `deadline` counts no crash.

    Without a worker that survived, the outage may have been the crash of the only worker.
    """
    return signs.survived and deadline < signs.wait_until


def set_back(signs: SignsOfLife, now: float) -> float:
    """Return by how much the broker's clock was set back since the latest sign; 0 if it was not.

    Leases from before then run out too late by this much, so the broker moves their deadlines. Ask before `note_sign`.
    """
    step = signs.seen - now
    return step if step > signs.lease * INTERVAL else 0.0
