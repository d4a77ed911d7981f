"""Decides from which of its queues a worker claims next, if the queues have weights.

A worker counts for each queue the jobs that it has claimed of it, divided by the weight: what the queue was served. The
queue that would be served least after its next job comes first, so that of queues that have jobs each gets the part of
the claimed jobs that its weight is of all weights. A queue without jobs gets nothing for the time in which it had none:
when it has jobs again, it is served as if it had been busy.

A claim takes the part of the free slots that the first queue is due, and the next claim begins with another queue. If
the first queue has fewer jobs, the others fill the claim, so that no slot stays free while a queue has jobs.

While a queue has jobs, a worker claims at most `longest_wait` jobs of other queues before one of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from aioq.model.ids import check_name

__all__ = [
    "MAX_WEIGHT",
    "QueueShares",
    "Turn",
    "after_claim",
    "check_weights",
    "first_shares",
    "longest_wait",
    "next_turn",
]

MAX_WEIGHT: Final = 1_000
"""The largest weight of a queue."""

_EXACT: Final = 1e-9
"""Differences that are smaller are errors of floating point."""


class QueueShares(Struct, frozen=True):
    """What one worker knows of the queues that it consumes by their weights."""

    weights: Mapping[str, int]
    served: Mapping[str, float]
    """Jobs that were claimed of each queue, divided by its weight, less what the queue that got least has got."""
    idle: frozenset[str] = frozenset()
    """The queues that had no job when they were looked at last."""


class Turn(NamedTuple):
    """What a worker claims next."""

    queues: tuple[str, ...]
    """All of its queues, in the order in which the claim serves them."""
    limit: int
    """Jobs to claim at most."""
    due: int
    """Jobs that any of the queues may get without getting more than its part."""
    waits: bool
    """Whether the claim waits for jobs, because no queue has any."""


def check_weights(weights: Mapping[str, int]) -> dict[str, int]:
    """Return a copy of the weights of queues.

    Raises:
        TypeError, ValueError: The name of a queue is invalid, or a weight is not a whole number from 1 to `MAX_WEIGHT`.
    """
    for queue, weight in weights.items():
        check_name("queue", queue)
        # Not isinstance: True is an int.
        if type(weight) is not int or not 1 <= weight <= MAX_WEIGHT:
            raise ValueError(
                f"the weight of queue {queue} must be a whole number from 1 to {MAX_WEIGHT:,}, got {weight!r}"
            )
    return dict(weights)


def first_shares(weights: Mapping[str, int], random: Callable[[], float]) -> QueueShares:
    """Return what a worker knows that starts.

    Args:
        weights: The weight of each queue.
        random: Returns a number from 0 to 1, anew at each call. With it a queue of a small weight gets its part also of
            workers that end after a few jobs, and the workers of a fleet do not all serve it at the same time.
    """
    return QueueShares(weights, _above_least({queue: -random() / weight for queue, weight in weights.items()}))


def next_turn(shares: QueueShares, *, free: int, least: int = 1, waits: bool = False) -> Turn:
    """Return what a worker claims next.

    Args:
        shares: What it knows.
        free: Its free slots, at least 1.
        least: Jobs that the claim may take in any case; at most `free`.
        waits: Whether the claim waits for jobs, because no queue has any: then any of them may get all slots.
    """
    order = sorted(shares.weights, key=lambda queue: shares.served[queue] + 1 / shares.weights[queue])
    # If the first queues have no jobs, another one gets the whole claim, so it must not be more than its own part.
    due = free if waits else min(_part(shares, order[:at], order[at:], free) for at in range(len(order)))
    return Turn(tuple(order), max(least, due), due, waits)


def _part(shares: QueueShares, before: Sequence[str], queues: Sequence[str], jobs: int) -> int:
    """Return how many of some further jobs the first of these queues is due, at least 1."""
    first = queues[0]
    if first not in shares.idle or not shares.idle.issuperset(before):
        # Nothing is left for queues that had no job at the last look: their turn comes by itself.
        queues = [first, *(queue for queue in queues[1:] if queue not in shares.idle)]
    due = (_level(shares, queues, jobs) - shares.served[first]) * shares.weights[first]
    return min(jobs, max(1, math.floor(due + _EXACT)))


def _level(shares: QueueShares, queues: Sequence[str], jobs: int) -> float:
    """Return up to what queues are served after some further jobs, of which the least served get the first."""
    level, together, left = 0.0, 0, float(jobs)
    for queue in sorted(queues, key=shares.served.__getitem__):
        step = shares.served[queue] - level
        if together and step * together >= left:
            break
        left -= step * together
        level, together = shares.served[queue], together + shares.weights[queue]
    return level + left / together


def after_claim(shares: QueueShares, turn: Turn, taken: Mapping[str, int]) -> QueueShares:
    """Return what a worker knows after a claim.

    Args:
        shares: What it knew before.
        turn: What it asked for.
        taken: The number of jobs that it got of each queue that gave some.
    """
    weights = shares.weights
    full = sum(taken.values()) >= turn.limit
    if turn.waits or not full:
        # Nobody went without: what one queue got more, no other could have used.
        idle = frozenset(weights) - (taken.keys() if full else set())
        return QueueShares(weights, dict.fromkeys(weights, 0.0), idle)
    served = {queue: value + taken.get(queue, 0) / weights[queue] for queue, value in shares.served.items()}
    gave = [queue for queue in turn.queues if queue in taken]
    # The claim came to the end of all queues before the last that gave jobs.
    emptied = turn.queues[: turn.queues.index(gave[-1])]
    idle = shares.idle.union(emptied) - {gave[-1]}
    reached = max(shares.served[queue] + min(taken[queue], turn.due) / weights[queue] for queue in gave)
    for queue in idle:
        # A queue that may have got jobs since the last look keeps one of them due, so that its turn comes.
        credit = 0.0 if queue in emptied else 1 / weights[queue]
        served[queue] = max(served[queue], reached - credit)
    return QueueShares(weights, _above_least(served), idle)


def _above_least(served: Mapping[str, float]) -> dict[str, float]:
    """Return what queues were served more than the one that got least: only that matters, and numbers stay small."""
    least = min(served.values())
    return {queue: value - least for queue, value in served.items()}


def longest_wait(weights: Mapping[str, int], queue: str, *, slots: int) -> int:
    """Return how many jobs of other queues a worker claims at most before one of a queue that has jobs."""
    others = sum(weights.values()) - weights[queue]
    return 2 * math.ceil(others / weights[queue]) + len(weights) + 2 * slots
