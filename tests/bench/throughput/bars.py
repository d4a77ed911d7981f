"""What has to be reached, and what we are here for: a floor or a ceiling, or a ratio to a peer of the same run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BARS", "Bar"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar for one figure of ours.

    Args:
        figure: Its name.
        first: What is required.
        goal: What is wanted.
        least: Whether a figure has to be at least, not at most, that.
        beside: The peer of whose figure the bars are multiples; "best" for the best of all; nothing for
            absolute bars.
    """

    figure: str
    first: float
    goal: float
    least: bool = False
    beside: str = ""


BARS = (
    Bar("drain, jobs/s", 20_000, 40_000, least=True),
    Bar("drain, jobs/s", 2.5, 5, least=True, beside="repid"),
    Bar("drain with results, jobs/s", 12_000, 25_000, least=True),
    Bar("drain with results, jobs/s", 6, 12, least=True, beside="saq"),
    Bar("worker CPU, us/job", 50, 20),
    Bar("enqueue together, jobs/s", 25_000, 45_000, least=True),
    Bar("enqueue bulk, jobs/s", 35_000, 85_000, least=True),
    Bar("enqueue one, jobs/s", 1, 1.5, least=True, beside="best"),
    Bar("calls per job", 1.2, 0.2),
    Bar("latency p50, ms", 1.2, 0.8, beside="repid"),
    Bar("latency p99, ms", 1.5, 1, beside="repid"),
    Bar("bytes per queued job", 280, 150),
    Bar("bytes left per job", 1, 0.5),
    Bar("2000 naps at 100, s", 2.15, 2.05),
    Bar("idle, calls/s", 1, 0.5),
    Bar("beside 50000 delayed, lost", 0, 0),
    Bar("beside 1000000 delayed, lost", 0, 0),
)
