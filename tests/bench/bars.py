"""What has to be reached, and what we are here for: a floor or a ceiling, or a ratio to another figure of the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["BARS", "Bar", "number", "reached", "verdict"]

OURS = "aioq"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar for one figure of ours.

    Args:
        figure: Its name.
        first: What is required.
        goal: What is wanted.
        more: Whether a figure has to be at least, not at most, that.
        beside: Of what the bars are multiples: the same figure of a peer, or of the "best" of them, or another figure
            of ours; nothing for absolute bars.
    """

    figure: str
    first: float
    goal: float
    more: bool = False
    beside: str = ""


BARS = (
    Bar("drain, jobs/s", 20_000, 40_000, more=True),
    Bar("drain, jobs/s", 2.5, 5, more=True, beside="repid"),
    Bar("drain with results, jobs/s", 12_000, 25_000, more=True),
    Bar("drain with results, jobs/s", 6, 12, more=True, beside="saq"),
    Bar("worker CPU, us/job", 50, 20),
    Bar("enqueue together, jobs/s", 25_000, 45_000, more=True),
    Bar("enqueue bulk, jobs/s", 35_000, 85_000, more=True),
    Bar("enqueue one, jobs/s", 4_800, 7_000, more=True),
    Bar("enqueue one, jobs/s", 1, 1.46, more=True, beside="best"),
    Bar("calls per job", 1.2, 0.2),
    Bar("latency p50, ms", 1.2, 0.8, beside="repid"),
    Bar("latency p99, ms", 1.5, 1, beside="repid"),
    Bar("bytes per queued job", 280, 150),
    Bar("bytes left per finished job", 1, 0.5),
    Bar("2000 x sleep(0.1) at 100, s", 2.15, 2.05),
    # No loss: less than a twentieth cannot be told from noise.
    Bar("drain beside 50,000 delayed, jobs/s", 0.95, 1, more=True, beside="drain, jobs/s"),
    Bar("drain beside 1,000,000 delayed, jobs/s", 0.95, 1, more=True, beside="drain, jobs/s"),
    Bar("beside 50,000 delayed: lost", 0, 0),
    Bar("beside 1,000,000 delayed: lost", 0, 0),
    Bar("idle, 0 crons: calls/s", 1, 0.5),
    Bar("idle, 10,000 crons: calls/s", 1, 0.5),
)


def reached(value: float, first: float, goal: float, *, more: bool = False) -> str:
    """Return in a word how far a value gets."""
    if value >= goal if more else value <= goal:
        return "goal"
    return "first bar" if (value >= first if more else value <= first) else "**missed**"


def verdict(figure: str, medians: Mapping[str, Mapping[str, float]]) -> str:
    """Return the verdict on the bars of a figure; empty if it has none.

    `medians` are by figure and library.
    """
    return "; ".join(said for bar in BARS if bar.figure == figure and (said := _said(bar, medians)))


def number(value: float) -> str:
    """Return a figure with as many digits as are worth telling."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _said(bar: Bar, medians: Mapping[str, Mapping[str, float]]) -> str:
    ours, beside = medians.get(bar.figure, {}).get(OURS), _beside(bar, medians)
    if ours is None or not beside:
        return ""
    value = ours / beside
    bars = f"{number(bar.first)} / {number(bar.goal)}"
    word = reached(value, bar.first, bar.goal, more=bar.more)
    return f"{word}: {number(value)} x {bar.beside} ({bars})" if bar.beside else f"{word} ({bars})"


def _beside(bar: Bar, medians: Mapping[str, Mapping[str, float]]) -> float | None:
    if not bar.beside:
        return 1.0
    if bar.beside in medians:
        return medians[bar.beside].get(OURS)
    peers = {name: value for name, value in medians.get(bar.figure, {}).items() if name != OURS}
    return _best(peers.values(), more=bar.more) if bar.beside == "best" else peers.get(bar.beside)


def _best(values: Iterable[float], *, more: bool) -> float | None:
    return (max if more else min)(values, default=None)
