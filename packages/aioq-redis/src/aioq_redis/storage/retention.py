"""How long, and how many, records of ended jobs are kept."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Retention"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What the broker's user chose. Completed and failed jobs are kept as their tasks say."""

    dead_ttl: float
    """Seconds."""
    dead_limit: int
    """So many of the newest are kept, in each queue."""
    cancelled_ttl: float
    """Seconds."""

    def __post_init__(self) -> None:
        for field, value in (("dead_ttl", self.dead_ttl), ("cancelled_ttl", self.cancelled_ttl)):
            if not 0 < value <= 315_576_000:
                raise ValueError(f"{field} must be above 0 s and at most 10 years, got {value!r}")
        if self.dead_limit < 1:
            raise ValueError(f"dead_limit must be at least 1, got {self.dead_limit!r}")
