"""What is done to a fleet and its server, and when: drawn from a seed, so that it can be done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["Blow", "carry_out", "draw_kills", "draw_restarts", "wait_until"]


@dataclass(frozen=True, slots=True, order=True)
class Blow:
    """Something bad that happens at a moment."""

    at: float
    """Seconds since 1970."""
    victim: int = 0
    """Which worker it happens to."""


def draw_kills(random: Random, start: float, end: float, *, every: float, tick: float, workers: int) -> list[Blow]:
    """Return a kill of a random worker about every so many seconds; half of them around a tick."""
    return [Blow(at, random.randrange(workers)) for at in _moments(random, start, end, every, tick)]


def draw_restarts(random: Random, start: float, end: float, *, every: float, tick: float) -> list[Blow]:
    """Return moments to restart a server, about every so many seconds; half of them around a tick."""
    return [Blow(at) for at in _moments(random, start, end, every, tick)]


def _moments(random: Random, start: float, end: float, every: float, tick: float) -> Iterable[float]:
    at = start + random.uniform(0.3, 1) * every
    while at < end:
        # A blow between two ticks proves little; the moment that matters is the one around a tick.
        near = round(at / tick) * tick + random.uniform(-0.06, 0.06)
        yield near if random.random() < 0.5 else at
        at += random.uniform(0.9, 1.1) * every


def carry_out(blows: Sequence[Blow], strike: Callable[[Blow], None]) -> int:
    """Do each at its moment, in order, and return how many were done.

    One whose moment has passed while an earlier one was seen to is left out: a machine that is too
    slow to start workers as fast as they are killed would be left with none.
    """
    done = 0
    for blow in sorted(blows):
        if blow.at < time.time():
            continue
        wait_until(blow.at)
        strike(blow)
        done += 1
    return done


def wait_until(moment: float) -> None:
    """Return when this machine's clock shows `moment`, in seconds since 1970."""
    while (left := moment - time.time()) > 0:
        time.sleep(left)
