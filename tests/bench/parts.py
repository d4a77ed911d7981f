"""The parts of the benchmarks: how each is measured, what of it is shown, and how long it is planned to take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from tests.bench import burst, cron_next, cron_stored, dashboard, lateness, month, processes, steps
from tests.bench.bars import reached
from tests.bench.burst import Burst
from tests.bench.lateness import Lateness
from tests.bench.month import Month
from tests.bench.steps import Step
from tests.bench.throughput.part import Throughput
from tests.chaos.report import table

__all__ = ["PARTS", "Part", "Run"]

ENTRIES = 10_000
NOTE = "bars (first / goal), or why there is no figure"
LATE = (
    "scheduler",
    "version",
    "a tick every",
    "ticks",
    "p50 ms",
    "p99 ms",
    "max ms",
    "p50 / ours",
    "fired early",
    NOTE,
)
"""Columns of the table of lateness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a part needs to know.

    Args:
        quick: Whether it has to be over soon.
        throughput: What is asked for of the part that has the most choices.
        folder: Where the environments of others are kept.
        keep: What is to be done with figures while a part is still under way.
        before: The figures of a run that was broken off in this part.
    """

    quick: bool
    throughput: Throughput
    folder: Path
    keep: Callable[[Mapping[str, Any]], None]
    before: Mapping[str, Any]


Measured: TypeAlias = tuple[str, Any]
"""Tables for people, and figures for programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part.

    Args:
        name: What it is asked for by.
        run: How it is measured.
        seconds: What it is planned to take: in full, and in a quick run. Nothing for throughput, which plans by itself.
    """

    name: str
    run: Callable[[Run], Measured]
    seconds: tuple[float, float] | None = None

    def planned(self, asked: Throughput) -> float:
        """Return the seconds that it is planned to take in such a run."""
        return self.seconds[asked.size.quick] if self.seconds else asked.planned()


def _throughput(run: Run) -> Measured:
    return run.throughput.run(run.keep, run.before)


def _lateness(run: Run) -> Measured:
    measured = lateness.measure(run.folder, quick=run.quick)
    ours = next((late.seconds.p50 for late in measured if late.seconds), 0.0)
    return table([_late_row(late, ours) for late in measured], LATE), [late.facts() for late in measured]


def _late_row(late: Lateness, ours: float) -> dict[str, object]:
    seconds = late.seconds
    row: dict[str, object] = {"scheduler": late.tool, "version": late.version, "a tick every": f"{late.every} s"}
    if seconds is None:
        return row | {"ticks": 0, NOTE: late.why.replace("|", "/")}
    p50, p99 = seconds.p50 * 1000, seconds.p99 * 1000
    bars = f"p50 {reached(p50, 5, 1)} (5 / 1), p99 {reached(p99, 20, 10)} (20 / 10)" if "aioq," in late.tool else ""
    figures = {"p50 ms": p50, "p99 ms": p99, "max ms": seconds.largest * 1000}
    row |= {"ticks": seconds.count} | {name: round(value, 1) for name, value in figures.items()}
    return row | {
        "p50 / ours": round(seconds.p50 / ours, 1) if ours else "",
        "fired early": late.early,
        NOTE: bars,
    }


def _burst(run: Run) -> Measured:
    measured = burst.measure(1_000, ahead=2) if run.quick else burst.measure(ENTRIES, ahead=20)
    rows = _rows(measured)
    for row, one in zip(rows, measured, strict=True):
        row["bar"] = "" if run.quick else f"{'goal' if one.last <= 1 else '**missed**'} (last within 1 s)"
    return table(rows), rows


def _stored(run: Run) -> Measured:
    one = cron_stored.measure(1_000, 2) if run.quick else cron_stored.measure(100_000, 5)
    row: dict[str, object] = {
        "schedules": one.schedules,
        "workers": one.workers,
        "all enqueued after s": round(one.enqueued_after_s, 2),
        "all run after s": round(one.run_after_s, 2),
        "server us": round(one.server_us),
        "workers us": round(one.workers_us),
        "bar": "" if run.quick else f"{'goal' if one.enqueued_after_s <= 10 else '**missed**'} (enqueued within 10 s)",
    }
    return table([row]), asdict(one)


def _month(run: Run) -> Measured:
    days = 7 if run.quick else 31
    loops = [month.scheduler(expression, 100, days) for expression in ("{} 9 * * *", "{} * * * *")]
    rows = _rows([month.app(), *loops, month.worker("{} * * * *", 100, 0.25 if run.quick else 1)])
    return table(rows), rows


def _steps(run: Run) -> Measured:
    rows = _rows(steps.measure(1 if run.quick else 3))
    return table(rows), rows


def _next(run: Run) -> Measured:
    measured = cron_next.measure(run.folder, 1 if run.quick else 7)
    return table([one.row() for one in measured]), [asdict(one) for one in measured]


def _processes(run: Run) -> Measured:
    jobs = {0.0: 20_000, 0.001: 1_500} if run.quick else {0.0: 200_000, 0.001: 20_000}
    measured = [processes.measure(count, work, most) for (work, most), count in product(jobs.items(), (1, 2))]
    alone = {one.work_ms: one.jobs_a_second for one in measured if one.processes == 1}
    rows = [
        {
            "a job uses a core for": f"{one.work_ms:g} ms",
            "processes": one.processes,
            "jobs": one.jobs,
            "seconds": round(one.seconds, 2),
            "jobs/s": round(one.jobs_a_second),
            "to one process": f"{one.jobs_a_second / alone[one.work_ms]:.2f} x",
        }
        for one in measured
    ]
    return table(rows), [asdict(one) for one in measured]


def _dashboard(run: Run) -> Measured:
    pages, opened = dashboard.measure(10_000, 3, 1) if run.quick else dashboard.measure(1_000_000, 30, 3)
    rows: list[dict[str, object]] = [
        {
            "page": one.page,
            "processor ms": one.cpu_ms,
            "KiB": round(one.bytes / 1024),
            "bar": _bar(one.cpu_ms, 30, "30 ms", run),
        }
        for one in pages
    ]
    share = 100 * opened.share
    rows.append(
        {
            "page": f"{opened.pages} open pages, {opened.updates} updates in {opened.seconds:g} s",
            "processor ms": f"{share:.1f} %",
            "KiB": "",
            "bar": _bar(share, 2, "2 %", run),
        }
    )
    return table(rows), [*map(asdict, pages), asdict(opened)]


def _bar(value: float, most: float, text: str, run: Run) -> str:
    return "" if run.quick else f"{'goal' if value <= most else '**missed**'} ({text})"


def _rows(measured: Iterable[Burst | Month | Step]) -> list[dict[str, object]]:
    return [
        {head.replace("_", " "): round(value, 3) if isinstance(value, float) else value for head, value in row.items()}
        for row in map(asdict, measured)
    ]


PARTS = {
    part.name: part
    for part in (
        Part(name="throughput", run=_throughput),
        Part(name="processes", run=_processes, seconds=(60, 10)),
        Part(name="cron-lateness", run=_lateness, seconds=(700, 18)),
        Part(name="cron-burst", run=_burst, seconds=(110, 11)),
        Part(name="cron-stored", run=_stored, seconds=(150, 9)),
        Part(name="cron-month", run=_month, seconds=(6, 3)),
        Part(name="cron-steps", run=_steps, seconds=(3, 1)),
        Part(name="cron-next", run=_next, seconds=(60, 9)),
        Part(name="dashboard", run=_dashboard, seconds=(150, 25)),
    )
}
