"""How long to wait before the next try."""

from __future__ import annotations

from random import random
from typing import Final

__all__ = ["pause_before"]

SHORTEST: Final = 0.1
LONGEST: Final = 1.5
"""Seconds; workers are to be at work within two seconds of a server's return, however long it was away."""


def pause_before(attempt: int) -> float:
    """Return seconds to wait after `attempt` failed tries more than one: anything up to a doubling limit.

    A fleet that lost its server at one moment must not come back at one moment.
    """
    return random() * min(LONGEST, SHORTEST * 2.0 ** min(attempt, 10))
