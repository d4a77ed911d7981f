"""Limits on the stored records of ended jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Retention"]

MAX_TTL: Final = 10 * 365.25 * 86_400.0
"""Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Limits for dead, expired and cancelled jobs. The tasks set those of completed and failed jobs."""

    dead_ttl: float
    """Seconds to keep dead and expired jobs."""
    dead_limit: int
    """Dead, and expired, jobs to keep in each queue. The oldest are removed."""
    cancelled_ttl: float
    """Seconds to keep cancelled jobs."""

    def __post_init__(self) -> None:
        for field, value in (("dead_ttl", self.dead_ttl), ("cancelled_ttl", self.cancelled_ttl)):
            if not 0 < value <= MAX_TTL:
                raise ValueError(f"{field} must be above 0 s and at most 10 years, got {value!r}")
        if self.dead_limit < 1:
            raise ValueError(f"dead_limit must be at least 1, got {self.dead_limit!r}")
