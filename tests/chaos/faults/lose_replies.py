"""F15: a proxy closes the connection instead of passing on every 25th reply."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.access import as_user
from tests.chaos.dropping_proxy import DroppingProxy
from tests.chaos.fault_result import FaultResult, at_least, at_most
from tests.chaos.fleet import WorkerProcess
from tests.chaos.load import load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.scenario import open_scenario, start_server

__all__ = ["FAULT", "run"]

FAULT = "F15 lose_replies"

EVERY = 25
WORKERS = 2


def run(full: bool, seed: int, folder: Path) -> list[FaultResult]:
    """Connect two workers to the server through a proxy."""
    load = load_of(full)
    with ExitStack() as stack:
        server = start_server(stack)
        proxy = stack.enter_context(DroppingProxy(server.socket, EVERY))
        workers = [WorkerProcess(load.arguments()) for _ in range(WORKERS)]
        scenario = stack.enter_context(
            open_scenario(folder, workers, server=server, worker_url=as_user(proxy.url, NAMESPACE))
        )
        scenario.fleet.start()
        scenario.enqueue("nap", load.jobs, load.nap)
        outcome = scenario.finish(timeout=load.seconds * 5 + 30)
    bars = [
        # A claim whose reply was lost is repeated with its request id, so that no lease runs out.
        at_most("ran twice", outcome.figures.twice, proxy.drops),
        at_least("cuts", proxy.drops, 2),
    ]
    return [outcome.result(FAULT, f"every {EVERY}th of two workers", seed=seed, bars=bars, drops=proxy.drops)]
