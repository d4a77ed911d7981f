"""What came of one fault: figures, and whether each bar was reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Bar", "Verdict", "at_least", "at_most", "exactly", "holds"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing that must be true."""

    says: str
    seen: str
    reached: bool


def at_most(what: str, seen: float, limit: float) -> Bar:
    """Return the bar that a figure is no higher than its limit."""
    return Bar(f"{what} ≤ {limit:g}", _text(seen), seen <= limit)


def at_least(what: str, seen: float, limit: float) -> Bar:
    """Return the bar that a figure is no lower than its limit."""
    return Bar(f"{what} ≥ {limit:g}", _text(seen), seen >= limit)


def exactly(what: str, seen: object, wanted: object) -> Bar:
    """Return the bar that something is what it must be."""
    return Bar(f"{what} = {wanted}", str(seen), seen == wanted)


def holds(what: str, reached: bool) -> Bar:
    """Return the bar that something is so."""
    return Bar(what, "yes" if reached else "no", reached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one case of a fault. Durations are in seconds."""

    fault: str
    case: str = ""
    seed: int
    jobs: int
    lost: int
    twice: int
    """Run to the end more than once."""
    late: float
    """From the fault to what its bar waits for, at worst; 0 when no bar does."""
    exits: int
    """Workers that left without being told to, or with another code than 0."""
    seconds: float
    """That it took in all."""
    bars: Sequence[Bar]
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further figures, for the JSON."""

    @property
    def name(self) -> str:
        """Which fault, and which case of it."""
        return f"{self.fault} {self.case}".strip()

    def faults(self) -> list[str]:
        """Return which bars were not reached, in words."""
        return [f"{self.name}: {bar.says}, but it was {bar.seen}" for bar in self.bars if not bar.reached]

    def row(self) -> dict[str, object]:
        """Return the figures as a row of a table."""
        reached = sum(bar.reached for bar in self.bars)
        return {
            "fault": self.name, "jobs": self.jobs, "lost": self.lost, "ran twice": self.twice,
            "late s": self.late, "worker exits": self.exits, "seconds": round(self.seconds, 1),
            "bars": f"all {reached}" if reached == len(self.bars) else f"{reached} of {len(self.bars)} MISSED",
        }  # fmt: skip

    def bar_rows(self) -> list[dict[str, object]]:
        """Return the bars as rows of a table."""
        return [
            {"fault": self.name, "bar": bar.says, "seen": bar.seen, "": "" if bar.reached else "MISSED"}
            for bar in self.bars
        ]

    def as_facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def _text(seen: object) -> str:
    return f"{seen:.3f}".rstrip("0").rstrip(".") if isinstance(seen, float) else str(seen)
