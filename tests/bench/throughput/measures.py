"""What is measured, each as a function from a stage and a size to figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from tests.bench.throughput.contenders.meter import WARM_UP
from tests.bench.throughput.contestants import OURS, Contestant
from tests.bench.throughput.sizes import Size
from tests.bench.throughput.stage import Stage

__all__ = ["MEASURES", "Figures", "Measure"]

Figures: TypeAlias = Mapping[str, float]

PAUSE = 0.005
"""Seconds between two jobs whose latency counts."""

PORTION = 50_000
"""Delayed jobs that are asked for at a time: no library takes long for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Something that is measured.

    Args:
        name: What it is asked for by.
        figures: The names of its figures; those that end with `jobs/s` are better when higher, others when lower.
        run: How.
        needs: What a contestant must have, of `Contestant.lacks`.
        once: Whether it is in the first round only, because it takes long and depends little on the moment.
        quick: The libraries that are measured in a quick run, too.
        seconds: What it is planned to take for one contestant: in full, and in a quick run.
    """

    name: str
    figures: tuple[str, ...]
    run: Callable[[Stage, Size], Figures]
    seconds: tuple[float, float]
    needs: str = ""
    once: bool = False
    quick: Literal["all", "ours", "none"] = "all"

    def names(self, size: Size) -> list[str]:
        """Return the names of its figures for a size."""
        return [figure.format(naps=size.naps) for figure in self.figures]

    def due(self, contestant: Contestant, number: int, size: Size) -> bool:
        """Return whether a contestant is measured so in a round; the first is 0."""
        if self.needs in contestant.lacks or (self.once and number):
            return False
        return not size.quick or self.quick == "all" or (self.quick == "ours" and contestant is OURS)

    def planned(self, contestant: Contestant, number: int, size: Size) -> float:
        """Return the seconds that it is planned to take for a contestant in a round."""
        return self.seconds[size.quick] if self.due(contestant, number, size) else 0


def _enqueue(mode: str, stage: Stage, size: Size) -> Figures:
    jobs = size.singles if mode == "one" else size.many
    seconds = stage.ask("enqueue", mode, jobs)["seconds"]
    return {f"enqueue {mode}, jobs/s": jobs / seconds}


def _drain(stage: Stage, size: Size) -> Figures:
    """A full queue of jobs that do nothing and whose result is not read: rate, processor time, memory."""
    jobs, store = round(stage.contestant.jobs * size.share), stage.store
    stage.ask("fill", "nothing", 0)
    empty, before = store.memory(), store.wire()
    stage.ask("fill", "nothing", jobs)
    sent, queued = store.wire() - before, store.memory()
    busy, before = store.processor(), store.wire()
    figures = stage.steadily("nothing", jobs)
    return {
        "drain, jobs/s": figures["rate"],
        "worker CPU, us/job": figures["cpu_us"],
        "server CPU, us/job": (store.processor() - busy) / jobs * 1e6,
        "bytes on the wire per job": (sent + store.wire() - before) / jobs,
        "bytes per queued job": (queued - empty) / jobs,
        "bytes left per finished job": max(0.0, (store.memory() - empty) / jobs),
    }


def _results(stage: Stage, size: Size) -> Figures:
    jobs = round(stage.contestant.jobs * size.share)
    stage.ask("fill", "keep", jobs)
    figures = stage.steadily("keep", jobs)
    return {"drain with results, jobs/s": figures["rate"], "with results, us/job": figures["cpu_us"]}


def _calls(stage: Stage, size: Size) -> Figures:
    """Commands that clients send for a job under load, from enqueue to its end."""
    with stage.store.listening() as counted:
        stage.ask("enqueue", "together", size.counted)
        stage.drained("nothing", size.counted + 1)
    return {"calls per job": counted.number / size.counted}


def _latency(stage: Stage, size: Size) -> Figures:
    """Milliseconds from before the enqueue until the task begins, on an idle worker."""
    worker = stage.start("work", WARM_UP + size.late, 100, stage.patience, 0)
    stage.ask("drip", 1, 0, core=-1)
    worker.line(stage.patience)
    stage.ask("drip", WARM_UP + size.late - 1, PAUSE, core=-1)
    late = sorted(stage.worked(worker)["latencies_ms"])
    return {
        "latency p50, ms": statistics.median(late),
        "latency p99, ms": late[int(len(late) * 0.99)],
        "latency max, ms": late[-1],
    }


def _naps(stage: Stage, size: Size) -> Figures:
    """Seconds for jobs that sleep 0.1 s, 100 of them at a time: 2.0 would be ideal for 2,000."""
    stage.ask("fill", "nap", size.naps)
    return {f"{size.naps} x sleep(0.1) at 100, s": stage.drained("nap", size.naps, 100)["seconds"]}


def _delayed(waiting: int, stage: Stage, size: Size) -> Figures:
    """A drain beside delayed jobs, and one while some more come due: all must run, and none twice."""
    jobs, name = round(stage.contestant.jobs * size.share), f"beside {waiting:,} delayed"
    for first in range(0, waiting, PORTION):
        stage.ask("delay", min(PORTION, waiting - first), 3600, 7200)
    stage.ask("fill", "nothing", jobs)
    alone = stage.steadily("nothing", jobs)
    stage.ask("delay", jobs, 0.5, 1.5)
    stage.ask("fill", "nothing", jobs)
    due = stage.drained("nothing", 2 * jobs)
    return {
        f"drain {name}, jobs/s": alone["rate"],
        f"{name}: lost": alone["lost"] + due["lost"],
        f"{name}: ran twice": alone["twice"] + due["twice"],
    }


def _idle(crons: int, stage: Stage, size: Size) -> Figures:
    """What a worker with nothing to do asks of the server, and of its own core."""
    worker = stage.start("idle", crons, size.idle)
    worker.line(stage.patience * 2)
    with stage.store.listening() as counted:
        begin = time.monotonic()
        share = stage.figures(worker)["cpu_share"]
        passed = time.monotonic() - begin
    name = f"idle, {crons:,} crons"
    return {f"{name}: calls/s": counted.number / passed, f"{name}: % of a core": share * 100}


def _of_delayed(waiting: int) -> tuple[str, ...]:
    name = f"beside {waiting:,} delayed"
    return f"drain {name}, jobs/s", f"{name}: lost", f"{name}: ran twice"


def _of_idle(crons: int) -> tuple[str, ...]:
    return f"idle, {crons:,} crons: calls/s", f"idle, {crons:,} crons: % of a core"


MEASURES = (
    Measure(name="one", figures=("enqueue one, jobs/s",), run=partial(_enqueue, "one"), seconds=(0.8, 0.3)),
    Measure(
        name="together", figures=("enqueue together, jobs/s",), run=partial(_enqueue, "together"), seconds=(1.8, 0.6)
    ),
    Measure(
        name="bulk", figures=("enqueue bulk, jobs/s",), run=partial(_enqueue, "bulk"), needs="bulk", seconds=(1.2, 0.5)
    ),
    Measure(
        name="drain",
        figures=(
            "drain, jobs/s",
            "worker CPU, us/job",
            "server CPU, us/job",
            "bytes on the wire per job",
            "bytes per queued job",
            "bytes left per finished job",
        ),
        run=_drain,
        seconds=(4.5, 1.5),
    ),
    Measure(
        name="results",
        figures=("drain with results, jobs/s", "with results, us/job"),
        run=_results,
        needs="results",
        seconds=(4.5, 1.2),
    ),
    Measure(name="calls", figures=("calls per job",), run=_calls, seconds=(2, 0.8)),
    Measure(
        name="latency",
        figures=("latency p50, ms", "latency p99, ms", "latency max, ms"),
        run=_latency,
        seconds=(3.5, 1.2),
    ),
    Measure(name="naps", figures=("{naps} x sleep(0.1) at 100, s",), run=_naps, seconds=(4, 1)),
    Measure(
        name="delayed",
        figures=_of_delayed(50_000),
        run=partial(_delayed, 50_000),
        needs="delays",
        quick="ours",
        seconds=(12, 4),
    ),
    Measure(
        name="million-delayed",
        figures=_of_delayed(1_000_000),
        run=partial(_delayed, 1_000_000),
        needs="delays",
        quick="none",
        once=True,
        seconds=(80, 0),
    ),
    Measure(name="idle", figures=_of_idle(0), run=partial(_idle, 0), quick="none", once=True, seconds=(18, 0)),
    Measure(
        name="idle-crons",
        figures=_of_idle(10_000),
        run=partial(_idle, 10_000),
        needs="crons",
        quick="none",
        once=True,
        seconds=(32, 0),
    ),
)
