"""How long it is still going to take."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["left", "span"]


def left(planned: float, done: Iterable[tuple[float, float]]) -> float:
    """Return the seconds that what is left will take: as planned, or as much slower as what is done was.

    `done` has for each thing what was planned, and what it took.
    """
    pairs = list(done)
    expected, took = sum(plan for plan, _ in pairs), sum(seconds for _, seconds in pairs)
    return planned * took / expected if expected else planned


def span(seconds: float) -> str:
    """Return seconds as people say them."""
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"
