"""How a set of measured values is spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Spread", "spread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The middle and the worst of some values."""

    count: int
    p50: float
    p99: float
    """Of fewer than a hundred values, their largest."""
    largest: float


def spread(values: Sequence[float]) -> Spread:
    """Return how values are spread; each figure is one of the values.

    Raises:
        ValueError: There are none.
    """
    if not values:
        raise ValueError("there are no values")
    ordered = sorted(values)
    return Spread(count=len(ordered), p50=_at(ordered, 0.5), p99=_at(ordered, 0.99), largest=ordered[-1])


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
