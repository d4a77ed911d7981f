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


def full_jitter(failures: int, *, rand: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait before the next try to reach a broker.

    The delay is random below a bound that doubles from 0.1 s to 1.5 s. Clients that lost a server at
    the same moment therefore return at different moments, and each within two seconds of the server.

    Args:
        failures: Tries that failed in a row before the last one; 0 after the first.
        rand: Gives numbers from 0 up to 1.
    """
    return backoff_delay(failures + 1, base=0.1, ceiling=1.5, jitter=1.0, rand=rand)
