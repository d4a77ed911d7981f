"""Decides in which order the workers of a fleet claim the ticks of a moment.

One of them, the favourite, claims at once, and usually wins all ticks of the moment in one call. The others claim
later, one after the other, so that the ticks fire if the favourite is dead, slow or cut off. Each worker computes the
order by itself from the ids of the workers that are up. If two workers know different ids, both may claim at once, or
none may: the ledger still grants each tick once.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

__all__ = ["FOLLOW", "SPREAD", "claim_delay", "favourite_of"]

FOLLOW: Final = 0.01
"""Seconds after which the first of the others claims. Usually the favourite has been answered by then."""

SPREAD: Final = 0.05
"""Seconds within which all workers claim."""

_ROUND: Final = 10_000
"""Places in a round through all workers."""

_PER_MINUTE: Final = 644
"""Places by which the turn moves in a minute. Of all numbers that were tried, this and the next one spread the turns
most evenly, among up to 100 workers: for ticks every 1 to 20 minutes, and at each divisor of a minute."""

_PER_SECOND: Final = 4188
"""Places by which the turn moves in a second of a minute."""

_HASH_SIZE: Final = 8
"""Bytes of a hash."""


def claim_delay(moment: float, workers: Sequence[str], worker_id: str) -> float:
    """Return the seconds that a worker waits before it claims the ticks of a moment: 0 for the favourite.

    Without a worker's own id among them, nothing is known of its place: it waits for a time that a hash decides.

    Args:
        moment: The moment, in seconds since 1970.
        workers: The ids of the workers that fire the same entries, in ascending order.
        worker_id: The worker.
    """
    if worker_id not in workers:
        return SPREAD * _hash(moment, worker_id) / 256**_HASH_SIZE
    favourite = favourite_of(moment, workers)
    if worker_id == favourite:
        return 0.0
    # By a hash for each moment: if the favourite is dead or slow, its ticks are spread over all others.
    mine = _hash(moment, worker_id)
    before = sum(_hash(moment, other) < mine for other in workers if other != favourite)
    return FOLLOW + (SPREAD - FOLLOW) * before / (len(workers) - 1)


def favourite_of(moment: float, workers: Sequence[str]) -> str:
    """Return the worker that claims the ticks of a moment at once. There must be one; see `claim_delay`."""
    # Not a hash: of the 60 ticks of an hour it would give up to 10 to one of 20 workers. Steps of a fixed part of a
    # round fill it evenly, whatever the number of workers is.
    minutes, seconds = divmod(int(moment), 60)
    place = (minutes * _PER_MINUTE + seconds * _PER_SECOND) % _ROUND
    return workers[place * len(workers) // _ROUND]


def _hash(moment: float, worker_id: str) -> int:
    """Return a number that is equal in every process."""
    text = f"{round(moment * 1000)} {worker_id}"
    return int.from_bytes(blake2b(text.encode(), digest_size=_HASH_SIZE).digest(), "big")
