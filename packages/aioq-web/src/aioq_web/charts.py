"""Computes the geometry of charts. Templates draw them as SVG, in percent, so that nothing is stretched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.cron import TickRecord, TickStatus
from aioq.model.job import JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq_web.text import duration

__all__ = ["LifeBar", "Mark", "Segment", "life_bar", "strip"]

LEAST: Final = 1.0
"""Percent that each part of a bar has at least."""

GAP: Final = 0.35
"""Percent between two parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a bar.

    Args:
        css: Its classes, which say its colour and pattern.
        x: Where it begins, in percent.
        width: In percent.
        thin: Whether it is a wait, which is drawn thinner than a run.
        title: What it is, for a reader who points at it or cannot see it.
        label: A text in it.
    """

    css: str
    x: float
    width: float
    thin: bool
    title: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeBar:
    """The life of a job as a bar."""

    segments: Sequence[Segment]
    total: float
    """Seconds."""
    label: str
    """All of it in words."""
    now: float | None = None
    """Where the present is, in percent; None if the job has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    css: str
    seconds: float
    title: str
    thin: bool = False
    future: bool = False
    label: str = ""


def life_bar(record: JobRecord, now: float) -> LifeBar:
    """Return the life of a job so far, and what is known of its future."""
    spans = [span for span in _spans(record, now) if span.seconds > 0] or [_span_of_nothing(record)]
    total = sum(span.seconds for span in spans)
    floor = total * LEAST / 100
    shares = [max(span.seconds, floor) for span in spans]
    scale = (100 - GAP * (len(spans) - 1)) / sum(shares)
    segments: list[Segment] = []
    x, present = 0.0, None
    for span, share in zip(spans, shares, strict=True):
        if span.future and present is None:
            present = x
        width = share * scale
        place = {"x": round(x, 2), "width": round(width, 2)}
        segments.append(Segment(css=span.css, **place, thin=span.thin, title=span.title, label=span.label))
        x += width + GAP
    known = sum(span.seconds for span in spans if not span.future)
    return LifeBar(segments=segments, total=known, label=", ".join(span.title for span in spans), now=present)


def _spans(record: JobRecord, now: float) -> Iterator[_Span]:
    started, finished = record.started_at, record.finished_at
    end = finished if finished is not None else now
    first = "waited for" if started is not None or finished is not None else "has waited for"
    wait_end = started if started is not None else end
    waited = wait_end - record.enqueued_at
    if record.attempt > 1:
        yield _span("retrying hatch-retry", waited, f"{record.attempt - 1} earlier attempts and waits", thin=True)
    elif record.state is JobState.SCHEDULED:
        yield _span("scheduled f-soft", waited, "has been scheduled for", thin=True)
    else:
        yield _span("pending f-soft", waited, first, thin=True)
    if started is not None and record.state not in (JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING):
        css = f"{record.state} {'f' if record.state is not JobState.DEAD else 'hatch-dead'}"
        verb = "has run for" if record.state is JobState.RUNNING else "ran for"
        yield _span(css, end - started, verb, label=str(record.attempt))
    if record.run_at is not None and record.state not in FINAL_STATES:
        yield _Span(
            css=f"{record.state} o dash", seconds=record.run_at - now, thin=True, future=True,
            title=f"due in {duration(record.run_at - now)}",
        )  # fmt: skip


def _span(css: str, seconds: float, verb: str, *, thin: bool = False, label: str = "") -> _Span:
    return _Span(css=css, seconds=seconds, title=f"{verb} {duration(seconds)}", thin=thin, label=label)


def _span_of_nothing(record: JobRecord) -> _Span:
    return _Span(css=f"{record.state} f", seconds=0.001, title=str(record.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One tick in a strip."""

    css: str
    x: float
    """Percent."""
    width: float
    up: float
    """Percent of the upper half: how late the tick was, on a logarithmic scale."""
    down: bool
    """Whether a mark below the line says that the tick did not succeed."""
    title: str


SCALE: Final = (0.001, 100.0)
"""Seconds of lateness at the bottom and at the top of a strip."""

MARK_CLASSES: Final = {
    TickStatus.OK: "completed f",
    TickStatus.FAILED: "failed f",
    TickStatus.SKIPPED: "skipped f",
    TickStatus.MISSED: "missed o",
}

UNSUCCESSFUL: Final = frozenset({TickStatus.FAILED, TickStatus.SKIPPED, TickStatus.MISSED})


def strip(records: Iterable[TickRecord], titles: Iterable[str], *, places: int = 100) -> list[Mark]:
    """Return the marks of ticks, the oldest at the left.

    Args:
        records: The ticks, newest first.
        titles: What to say of each.
        places: Ticks that a whole strip has.
    """
    pairs = [*zip(records, titles, strict=True)][::-1]
    step = 100 / places
    first = places - len(pairs)
    return [
        Mark(
            css=MARK_CLASSES.get(record.status, "running f"),
            x=round((first + place) * step, 3),
            width=round(step * 0.72, 3),
            up=round(_height(record), 1),
            down=record.status in UNSUCCESSFUL,
            title=title,
        )
        for place, (record, title) in enumerate(pairs)
    ]


def _height(record: TickRecord) -> float:
    if record.fired_at is None:
        return 0.0
    least, most = SCALE
    late = min(max(record.late, least), most)
    return 6 + 94 * math.log(late / least) / math.log(most / least)
