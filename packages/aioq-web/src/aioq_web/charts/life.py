"""Computes the life of a job as a bar of waits and attempts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.job import Attempt, AttemptOutcome, JobRecord
from aioq.model.states import FINAL_STATES, JobState
from aioq_web.text import count_of, duration

__all__ = ["LifeBar", "Segment", "life_bar", "look_of"]

LEAST: Final = 1.0
"""Percent that each part of a bar has at least."""

GAP: Final = 0.35
"""Percent between two parts."""

LOOKS: Final = {
    AttemptOutcome.RETRIED: ("failed", "failed"),
    AttemptOutcome.HANDED_BACK: ("cancelled", "cancelled"),
    AttemptOutcome.RELEASED: ("cancelled", "cancelled"),
    AttemptOutcome.CRASHED: ("dead", "dead"),
    AttemptOutcome.LOST: ("cancelled", "cancelled"),
}
"""The class and the icon of outcomes that are no state of a job."""

NOT_STARTED: Final = (JobState.PENDING, JobState.SCHEDULED, JobState.RETRYING)


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
    """Where the present is, in percent; None if nothing is known of the future."""


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
    spans = [span for span in _spans(record, now) if span.seconds > 0]
    spans = spans or [_Span(css=f"{record.state} f", seconds=0.001, title=str(record.state))]
    total = sum(span.seconds for span in spans)
    shares = [max(span.seconds, total * LEAST / 100) for span in spans]
    scale = (100 - GAP * (len(spans) - 1)) / sum(shares)
    segments: list[Segment] = []
    x, present = 0.0, None
    for span, share in zip(spans, shares, strict=True):
        if span.future:
            present = round(x, 2)
        width = share * scale
        place = {"x": round(x, 2), "width": round(width, 2)}
        segments.append(Segment(css=span.css, **place, thin=span.thin, title=span.title, label=span.label))
        x += width + GAP
    known = sum(span.seconds for span in spans if not span.future)
    return LifeBar(segments=segments, total=known, label=", ".join(span.title for span in spans), now=present)


def _spans(record: JobRecord, now: float) -> Iterator[_Span]:
    """Yield the waits and the attempts in order. Of earlier attempts only the latest are stored."""
    reached = record.enqueued_at
    before: Attempt | None = None
    for attempt in record.attempts:
        yield _wait(attempt.started_at - reached, before, unknown=attempt.number - 1 if before is None else 0)
        yield _run(attempt)
        reached, before = attempt.started_at + attempt.duration, attempt
    yield from _rest(record, now, reached, before)


def _rest(record: JobRecord, now: float, reached: float, before: Attempt | None) -> Iterator[_Span]:
    """Yield what comes after the stored attempts."""
    started = record.started_at
    end = now if record.finished_at is None else record.finished_at
    unknown = 0 if before else record.attempt - 1
    if started is not None and started > reached and record.state not in NOT_STARTED:
        yield _wait(started - reached, before, unknown=unknown)
        verb = "has run for" if record.state is JobState.RUNNING else "ran for"
        css = f"{record.state} {'hatch-dead' if record.state is JobState.DEAD else 'f'}"
        yield _Span(
            css=css, seconds=end - started, title=f"{verb} {duration(end - started)}", label=str(record.attempt)
        )
    elif record.state not in FINAL_STATES or before is None:
        yield _wait(end - reached, before, unknown=unknown, scheduled=record.state is JobState.SCHEDULED)
    if record.run_at is not None and record.run_at > now:
        left = record.run_at - now
        css = f"{record.state} o dash"
        yield _Span(css=css, seconds=left, title=f"due in {duration(left)}", thin=True, future=True)


def _wait(seconds: float, before: Attempt | None, *, unknown: int = 0, scheduled: bool = False) -> _Span:
    if unknown > 0:
        title = f"{count_of(unknown, 'earlier attempt', 'earlier attempts')} and waits, {duration(seconds)}"
        return _Span(css="retrying hatch-retry", seconds=seconds, title=title, thin=True)
    if before is not None and before.outcome is AttemptOutcome.RETRIED:
        return _Span(
            css="retrying hatch-retry", seconds=seconds, title=f"waited {duration(seconds)} for a retry", thin=True
        )
    css = "scheduled f-soft" if scheduled else "pending f-soft"
    return _Span(css=css, seconds=seconds, title=f"waited for {duration(seconds)}", thin=True)


def _run(attempt: Attempt) -> _Span:
    css = f"{look_of(attempt)[0]} {'hatch-dead' if attempt.outcome is AttemptOutcome.CRASHED else 'f'}"
    outcome = attempt.outcome.replace("_", " ")
    title = f"attempt {attempt.number} {outcome} after {duration(attempt.duration)}"
    return _Span(css=css, seconds=attempt.duration, title=title, label=str(attempt.number))


def look_of(attempt: Attempt) -> tuple[str, str]:
    """Return the class and the icon of an attempt's outcome."""
    return LOOKS.get(attempt.outcome, (str(attempt.outcome), str(attempt.outcome)))
