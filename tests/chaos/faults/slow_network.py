"""F20: a slow network, and one with long round trips. No job crashes, and nothing is sent twice."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.fault_result import FaultResult, at_most, exactly
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import Load
from tests.chaos.producer import Producer
from tests.chaos.scenario import Outcome, Scenario, open_scenario, start_server
from tests.chaos.slow_network import slow_network

__all__ = ["FAULT", "run"]

FAULT = "F20 slow_network"

ROUND_TRIP = 0.05
QUEUES = 120
SOON = 3.0
"""Seconds in which jobs of the last of many queues have run, far away from the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Jobs of 1 MB, and what a network passes on; rates in bytes a second, times in seconds."""

    jobs: int
    lease: float
    rate_of_worker: float
    rate_of_client: float
    timeout_of_client: float


FULL = Size(jobs=20, lease=10, rate_of_worker=2e6, rate_of_client=0.5e6, timeout_of_client=60)
SMALL = Size(jobs=4, lease=2, rate_of_worker=2e6, rate_of_client=1e6, timeout_of_client=5)


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Run large jobs behind a slow network, enqueue them through one, and run jobs of many queues far away."""
    size = FULL if full else SMALL
    load = Load(jobs=size.jobs, nap=0, concurrency=size.jobs, lease=size.lease)
    return [
        _claim_slowly(size, load, seed, folder / "claim"),
        _enqueue_slowly(size, load, seed, folder / "enqueue"),
        _many_queues(load, seed, folder / "queues"),
    ]


def _claim_slowly(size: Size, load: Load, seed: int, folder: Path) -> FaultResult:
    with ExitStack() as stack:
        server = start_server(stack)
        url = stack.enter_context(slow_network(server.url, rate=size.rate_of_worker))
        worker = WorkerProcess(load.arguments())
        scenario = stack.enter_context(open_scenario(folder, [worker], server=server, worker_url=url))
        scenario.enqueue("swallow", load.jobs, _megabyte())
        scenario.fleet.start()
        outcome = scenario.finish(timeout=60)
        warnings = _warnings(scenario)
    return _result("claims", outcome, warnings, seed)


def _enqueue_slowly(size: Size, load: Load, seed: int, folder: Path) -> FaultResult:
    with ExitStack() as stack:
        server = start_server(stack)
        url = stack.enter_context(slow_network(server.url, rate=size.rate_of_client))
        scenario = stack.enter_context(open_scenario(folder, [WorkerProcess(load.arguments())], server=server))
        scenario.fleet.start()
        scenario.enqueued += Producer(url, timeout=size.timeout_of_client).enqueue("swallow", load.jobs, _megabyte())
        outcome = scenario.finish(timeout=60)
        warnings = _warnings(scenario)
    return _result("enqueue", outcome, warnings, seed)


def _many_queues(load: Load, seed: int, folder: Path) -> FaultResult:
    queues = [word for n in range(QUEUES - 1) for word in ("-q", f"q{n}")]
    with ExitStack() as stack:
        server = start_server(stack)
        url = stack.enter_context(slow_network(server.url, delay=ROUND_TRIP))
        worker = WorkerProcess(load.arguments(*queues, "-q", "default"))
        scenario = stack.enter_context(open_scenario(folder, [worker], server=server, worker_url=url))
        scenario.fleet.start()
        enqueued_at = time.time()
        scenario.enqueue("swallow", load.jobs, "small")
        scenario.wait_all()
        late = time.time() - enqueued_at
        outcome = scenario.finish()
        warnings = _warnings(scenario)
    return _result(f"{QUEUES} queues, {ROUND_TRIP:g} s away", outcome, warnings, seed, late)


def _megabyte() -> str:
    return "x" * 1_000_000


def _warnings(scenario: Scenario) -> int:
    logs = scenario.fleet.logs()
    return logs.count(" WARNING aioq.worker: ") + logs.count(" WARNING aioq.redis: ")


def _result(case: str, outcome: Outcome, warnings: int, seed: int, late: float = 0.0) -> FaultResult:
    bars = [
        exactly("warnings in the log", warnings, 0),
        exactly("dead", outcome.dead, 0),
        exactly("begun twice", outcome.figures.begun_again, 0),
        exactly("errors in the log", outcome.errors, 0),
        at_most("seconds until the jobs of the last queue have run", late, SOON, measured=True),
    ]
    return outcome.result(FAULT, case, seed=seed, bars=bars, late=late)
