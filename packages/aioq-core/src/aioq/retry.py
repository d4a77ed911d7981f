"""How long to wait before the next attempt: pure functions of the attempt's number."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal, TypeAlias

__all__ = ["Backoff", "backoff_delay", "full_jitter"]

Backoff: TypeAlias = Literal["constant", "exponential"]

DAY = 86_400.0


def backoff_delay(
    attempt: int,
    *,
    base: float,
    backoff: Backoff = "exponential",
    ceiling: float = DAY,
    jitter: float = 0.0,
    rand: Callable[[], float] = random.random,
) -> float:
    """Return the seconds to wait after a failed attempt.

    Args:
        attempt: Number of the attempt that failed; 1 for the first.
        base: Seconds after the first failure.
        backoff: `constant` waits `base` each time; `exponential` doubles it each time.
        ceiling: No delay grows longer than this, in seconds; `base` itself may be longer.
        jitter: Up to this share of the delay is taken off at random: 0 for none, 1 for all.
        rand: Gives numbers from 0 up to 1.
    """
    doublings = min(attempt - 1, 64) if backoff == "exponential" else 0
    delay = min(base * 2.0**doublings, max(base, ceiling))
    return delay * (1.0 - jitter * rand())


def full_jitter(
    failures: int, *, base: float = 0.1, ceiling: float = 1.5, rand: Callable[[], float] = random.random
) -> float:
    """Return the seconds to wait before reconnecting: anything up to a bound that doubles.

    Many clients that lost one server must not return to it in step; and each is to be back within
    two seconds of its return.
    """
    return rand() * min(ceiling, base * 2.0 ** min(failures, 30))
