"""How much is measured: in full, or in little when it has to be over soon."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Size"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Numbers of jobs, and spans.

    Args:
        quick: Whether it has to be over soon.
        rounds: So often everybody appears.
        share: Of a contestant's own number of jobs to drain.
        singles: Jobs that are enqueued one by one.
        many: Jobs that are enqueued 100 at once, and in bulk.
        counted: Jobs whose calls are counted one by one.
        late: Jobs whose latency counts.
        naps: Jobs that sleep 0.1 s.
        idle: Seconds for which idle workers are watched.
        patience: Seconds for what takes a few when all is well.
    """

    quick: bool
    rounds: int
    share: float
    singles: int
    many: int
    counted: int
    late: int
    naps: int
    idle: float
    patience: float


FULL = Size(
    quick=False, rounds=5, share=1, singles=2000, many=10_000, counted=1000, late=300, naps=2000, idle=15, patience=60
)
QUICK = Size(
    quick=True, rounds=1, share=0.3, singles=400, many=2000, counted=200, late=60, naps=500, idle=5, patience=8
)
