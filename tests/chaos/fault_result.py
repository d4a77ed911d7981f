"""The result of one fault: figures, and whether each bar was reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Bar", "FaultResult", "at_least", "at_most", "exactly", "holds"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A condition that the result must meet."""

    condition: str
    actual: str
    reached: bool
    measured: bool = False
    """Whether the machine decides about the figure, too: a time, a size or a rate. Tests show it and do not assert it."""


def at_most(figure: str, actual: float, limit: float, *, measured: bool = False) -> Bar:
    """Return the bar that a figure does not exceed its limit."""
    return Bar(f"{figure} ≤ {limit:g}", _text(actual), actual <= limit, measured)


def at_least(figure: str, actual: float, limit: float, *, measured: bool = False) -> Bar:
    """Return the bar that a figure is not below its limit."""
    return Bar(f"{figure} ≥ {limit:g}", _text(actual), actual >= limit, measured)


def exactly(figure: str, actual: object, expected: object) -> Bar:
    """Return the bar that a figure has a given value."""
    return Bar(f"{figure} = {expected}", str(actual), actual == expected)


def holds(condition: str, reached: bool) -> Bar:
    """Return the bar that a condition is true."""
    return Bar(condition, "yes" if reached else "no", reached)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultResult:
    """The result of one case of a fault. Durations are in seconds."""

    fault: str
    """Number and name of the fault, such as `F6 flush_scripts`."""
    case: str = ""
    seed: int
    jobs: int
    lost: int
    twice: int
    """Jobs that ran to the end more than once."""
    late: float
    """Longest time from the fault to the recovery that a bar is about; 0 without such a bar."""
    exits: int
    """Workers that exited without a signal to stop, or with a code other than 0."""
    seconds: float
    """Duration of the case."""
    bars: Sequence[Bar]
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further figures, for the JSON file."""

    @property
    def name(self) -> str:
        """Return the fault and its case."""
        return f"{self.fault} {self.case}".strip()

    def missed_bars(self, *, measured: bool = True) -> list[str]:
        """Return a sentence for each bar that was not reached; `measured=False` leaves out what the machine decides."""
        return [
            f"{self.name}: {bar.condition}, but it was {bar.actual}"
            for bar in self.bars
            if not bar.reached and (measured or not bar.measured)
        ]

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
            {"fault": self.name, "bar": bar.condition, "actual": bar.actual, "": "" if bar.reached else "MISSED"}
            for bar in self.bars
        ]

    def as_facts(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)


def _text(value: object) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
