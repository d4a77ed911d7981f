"""Kills and restarts at random moments: drawn from a seed, so that a run can be repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["Disruption", "draw_kills", "draw_restarts", "run_disruptions", "wait_until"]


@dataclass(frozen=True, slots=True, order=True)
class Disruption:
    """A kill or a restart at a moment."""

    at: float
    """Seconds since 1970."""
    worker: int = 0
    """Index of the worker that is killed."""


def draw_kills(
    random: Random, start: float, end: float, *, every: float, tick: float, workers: int
) -> list[Disruption]:
    """Return kills of random workers, about one every `every` seconds; half of them close to a tick."""
    return [Disruption(at, random.randrange(workers)) for at in _moments(random, start, end, every, tick)]


def draw_restarts(random: Random, start: float, end: float, *, every: float, tick: float) -> list[Disruption]:
    """Return restarts of a server, about one every `every` seconds; half of them close to a tick."""
    return [Disruption(at) for at in _moments(random, start, end, every, tick)]


def _moments(random: Random, start: float, end: float, every: float, tick: float) -> Iterable[float]:
    at = start + random.uniform(0.3, 1) * every
    while at < end:
        # A kill between two ticks disturbs nothing, so half of the kills come close to a tick.
        near = round(at / tick) * tick + random.uniform(-0.06, 0.06)
        yield near if random.random() < 0.5 else at
        at += random.uniform(0.9, 1.1) * every


def run_disruptions(disruptions: Sequence[Disruption], disrupt: Callable[[Disruption], None]) -> int:
    """Call `disrupt` for each disruption at its moment, in order, and return the number of calls.

    A disruption whose moment passed during an earlier one is left out: on a machine that starts workers more
    slowly than they are killed, no worker would be left otherwise.
    """
    done = 0
    for disruption in sorted(disruptions):
        if disruption.at < time.time():
            continue
        wait_until(disruption.at)
        disrupt(disruption)
        done += 1
    return done


def wait_until(moment: float) -> None:
    """Wait until the clock of this machine shows `moment`, in seconds since 1970."""
    while (left := moment - time.time()) > 0:
        time.sleep(left)
