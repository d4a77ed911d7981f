"""Computes the delay before the next attempt, from the number of failures."""

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
    """Return the delay after a failed attempt, in seconds.

    Args:
        attempt: The number of the attempt that failed; 1 for the first.
        base: The delay after the first failure, in seconds.
        backoff: `constant` keeps the delay; `exponential` doubles it with each failure.
        ceiling: The limit of the doubling, in seconds; a longer `base` stays as it is.
        jitter: Shortens the delay at random by up to this fraction, 0 to 1.
        rand: Returns numbers from 0 up to 1.
    """
    # A task may have 1,000 retries, and a float overflows at 2**1024. The ceiling of a day is reached long before 64.
    doublings = min(attempt - 1, 64) if backoff == "exponential" else 0
    delay = min(base * 2.0**doublings, max(base, ceiling))
    return delay * (1.0 - jitter * rand())


def full_jitter(failures: int, *, rand: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait before the next try to reach a broker.

    The delay is random below a bound that doubles from 0.1 s to 1.5 s. Clients that lost a server at
    the same moment therefore return at different moments, and each within two seconds of the server.

    Args:
        failures: Tries that failed in a row before the last one; 0 after the first.
        rand: Gives numbers from 0 up to 1.
    """
    return backoff_delay(failures + 1, base=0.1, ceiling=1.5, jitter=1.0, rand=rand)
