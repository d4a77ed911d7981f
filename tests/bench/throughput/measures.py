"""What is measured, each as a function from a stage to figures; higher or lower is better as their names say."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TypeAlias

from tests.bench.throughput.stage import Stage

__all__ = ["EVERYBODY", "OURS_ALONE", "Figures"]

Figures: TypeAlias = dict[str, float]

COUNTED = 1000
"""Jobs of which the calls are counted one by one."""

LATE = 200
"""Jobs whose latency counts, after those that warm up."""


def enqueue(stage: Stage, scale: float) -> Figures:
    """Jobs a second that one producer stores: one by one, 100 at once, by the bulk call."""
    one, many = round(2000 * scale / 100) * 100, round(10_000 * scale / 1000) * 1000
    figures: Figures = {}
    for mode, jobs in {"one": one, "together": many, "bulk": many}.items():
        if mode == "bulk" and not stage.contestant.bulk:
            continue
        stage.store.wipe()
        seconds = stage.run("enqueue", mode, str(jobs))["seconds"]
        figures[f"enqueue {mode}, jobs/s"] = jobs / seconds
    return figures


def drain(stage: Stage, scale: float) -> Figures:
    """A full queue of jobs that do nothing and whose result nobody wants: rate, processor time, memory."""
    jobs, store = round(stage.contestant.jobs * scale), stage.store
    store.wipe()
    empty = store.memory()
    stage.run("fill", "nothing", str(jobs))
    queued = store.memory()
    before = store.processor()
    figures = stage.drained("nothing", jobs, stage.contestant.concurrency)
    return {
        "drain, jobs/s": jobs / figures["seconds"],
        "worker CPU, us/job": figures["cpu_us"],
        "server CPU, us/job": (store.processor() - before) / jobs * 1e6,
        "bytes per queued job": (queued - empty) / jobs,
        "bytes left per job": max(0.0, (store.memory() - empty) / jobs),
    }


def drain_with_results(stage: Stage, scale: float) -> Figures:
    """The same with a result that is stored."""
    if not stage.contestant.results:
        return {}
    jobs = round(stage.contestant.jobs * scale)
    stage.store.wipe()
    stage.run("fill", "keep", str(jobs), kind="keep")
    figures = stage.drained("keep", jobs, stage.contestant.concurrency)
    return {"drain with results, jobs/s": jobs / figures["seconds"], "with results, us/job": figures["cpu_us"]}


def calls(stage: Stage, scale: float) -> Figures:
    """Commands that clients send for a job under load, from enqueue to its end."""
    stage.store.wipe()
    with stage.store.listening() as counted:
        stage.run("enqueue", "together", str(COUNTED))
        stage.drained("nothing", COUNTED + 1, stage.contestant.concurrency)
    return {"calls per job": counted.number / COUNTED}


def latency(stage: Stage, scale: float) -> Figures:
    """Milliseconds from before the enqueue until the task begins, on an idle worker."""
    jobs = round(LATE * scale) + 20
    stage.store.wipe()
    worker = stage.start("work", str(jobs), "100", "60")
    time.sleep(1.5)
    stage.run("drip", str(jobs), "0.005", core=-1)
    late = sorted(stage.figures(worker)["latencies_ms"])
    return {
        "latency p50, ms": statistics.median(late),
        "latency p99, ms": late[int(len(late) * 0.99)],
        "latency max, ms": late[-1],
    }


def naps(stage: Stage, scale: float) -> Figures:
    """Seconds for jobs that sleep 0.1 s, 100 of them at a time: 2.0 would be ideal for 2,000."""
    jobs = round(2000 * scale / 100) * 100
    stage.store.wipe()
    stage.run("fill", "nap", str(jobs))
    return {f"{jobs} naps at 100, s": stage.drained("nap", jobs, 100)["seconds"]}


def delayed(stage: Stage, scale: float) -> Figures:
    """A drain while delayed jobs come due: all must run, and none twice."""
    figures: Figures = {}
    for waiting in (50_000,) if scale < 1 else (50_000, 1_000_000):
        jobs = round(stage.contestant.jobs * scale)
        stage.store.wipe()
        # As many as are drained beside come due meanwhile; the rest of them wait for longer.
        stage.run("delay", str(waiting - jobs), "600", "1200")
        stage.run("delay", str(jobs), "1", "3")
        stage.run("fill", "nothing", str(jobs))
        ran = stage.drained("nothing", 2 * jobs, 100)
        name = f"beside {waiting} delayed"
        figures |= {
            f"{name}, jobs/s": 2 * jobs / ran["seconds"],
            f"{name}, lost": ran["lost"],
            f"{name}, twice": ran["twice"],
        }
    return figures


def idle(stage: Stage, scale: float) -> Figures:
    """What a worker with nothing to do asks of the server, and of its own core."""
    seconds = 30 if scale >= 1 else 6
    stage.store.wipe()
    worker = stage.start("idle", str(seconds))
    assert worker.stdout is not None
    worker.stdout.readline()
    with stage.store.listening() as counted:
        time.sleep(seconds - 1)
    figures = stage.figures(worker)
    return {"idle, calls/s": counted.number / (seconds - 1), "idle, % of a core": figures["cpu_share"] * 100}


Measure: TypeAlias = Callable[[Stage, float], Figures]

EVERYBODY: tuple[Measure, ...] = (enqueue, drain, drain_with_results, calls, latency, naps)
OURS_ALONE: tuple[Measure, ...] = (delayed, idle)
