"""F13, drain: jobs fill a server up to its maxmemory, and then a worker empties it. Its memory must not grow."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from aioq import Aarq
from aioq.backends import RedisBroker
from aioq.errors import BrokerFull
from tests.chaos.apps.full import define
from tests.chaos.fault_result import FaultResult, at_most, exactly, holds
from tests.chaos.fleet import WorkerProcess
from tests.chaos.job_log import JobLog
from tests.chaos.producer import NAMESPACE
from tests.chaos.scenario import Scenario, open_scenario

__all__ = ["drain"]

CONCURRENCY = 10
OVERHEAD = 256 * 1024
"""Bytes besides those of jobs: leases of running jobs, the worker's own keys, and buffers of scripts."""


@dataclass(slots=True)
class Memory:
    """The memory of a server without the buffers of its clients, in bytes."""

    server: Any
    highest: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def read(self) -> int:
        """Return the memory now."""
        # In one transaction, because the buffers change all the time. The sum in INFO is some tenths of a second old.
        info, clients = self.server.pipeline(transaction=True).info("memory").client_list().execute()
        return int(info["used_memory"]) - sum(int(client["tot-mem"]) for client in clients)

    def watch(self) -> None:
        """Note the highest value until `done` is set."""
        while not self.done.wait(0.02):
            self.highest = max(self.highest, self.read())


def drain(limit: str, size: int, seed: int, folder: Path) -> FaultResult:
    """Fill a server that has a maxmemory of `limit` with jobs of `size` bytes, and let a worker run them."""
    worker = WorkerProcess(
        ["-m", "aioq", "worker", "tests.chaos.apps.full:app", "--concurrency", str(CONCURRENCY), "--lease", "5"]
    )
    options = ("--maxmemory", limit, "--maxmemory-policy", "noeviction")
    with open_scenario(folder, [worker], options=options) as scenario, scenario.server.client() as client:
        _warm_up(scenario)
        scenario.fleet.freeze(0)
        memory = Memory(client)
        empty = memory.read()
        refused = anyio.run(_fill, scenario, size)
        at_refusal = memory.read()
        with _watched(memory):
            scenario.fleet.resume(0)
            scenario.wait_all(600)
            emptied = scenario.wait(lambda: not _waiting(scenario), 30)
        after = memory.read()
        fired = _pulses(scenario)
        again = anyio.run(_enqueue, scenario, 100, 100)
        fires_again = scenario.wait(lambda: _pulses(scenario) >= fired + 2, 30)
        reason = _reason(scenario, scenario.enqueued[-101])
        outcome = scenario.finish(timeout=60)
    log = scenario.fleet.logs()
    bars = [
        exactly("error of enqueue", refused, "BrokerFull"),
        at_most("growth in bytes from the refusal on", memory.highest - at_refusal, OVERHEAD, measured=True),
        at_most(
            "part of the jobs' memory in use after the drain",
            (after - empty) / (at_refusal - empty),
            0.75,
            measured=True,
        ),
        holds("the queue ends empty", emptied),
        exactly("jobs enqueued again", again, 100),
        holds("the schedule fires again", fires_again),
        exactly("reason for the lost result", reason, "full"),
        exactly("ran twice", outcome.figures.twice, 0),
        exactly("log lines that say that results are dropped", log.count("is full: until it has room"), 1),
        exactly("log lines that blame an outage", log.count("the broker was away"), 0),
    ]
    return outcome.result(
        "F13 full_server", f"drain {size} B", seed=seed, bars=bars,
        empty=empty, at_refusal=at_refusal, highest=memory.highest, after=after,
    )  # fmt: skip


@contextmanager
def _watched(memory: Memory) -> Generator[None]:
    thread = threading.Thread(target=memory.watch)
    thread.start()
    try:
        yield
    finally:
        memory.done.set()
        thread.join()


def _warm_up(scenario: Scenario) -> None:
    """Start the worker and let it run a few jobs, so that all scripts are loaded and all its keys are there."""
    scenario.fleet.start()
    anyio.run(_enqueue, scenario, CONCURRENCY, 100)
    scenario.wait_all()
    scenario.wait(lambda: _pulses(scenario))


async def _enqueue(scenario: Scenario, number: int, size: int) -> int:
    """Enqueue some jobs of a size, and return how many were stored."""
    async with _app(scenario) as app:
        return await _enqueue_batch(scenario, app, number, size)


async def _enqueue_batch(scenario: Scenario, app: Aarq, number: int, size: int) -> int:
    first = len(scenario.enqueued)
    task = app.tasks["answer"]
    calls = [task.options(job_id=f"job-{first + n}").call("x" * size) for n in range(number)]
    jobs = await app.enqueue_many(calls)
    scenario.enqueued += [job.id for job in jobs]
    return len(jobs)


async def _fill(scenario: Scenario, size: int) -> str:
    """Enqueue jobs until the server refuses a single one, and return the name of the error."""
    refused = "nothing"
    async with _app(scenario) as app:
        for batch in (1000, 100, 10, 1):
            try:
                # At most about a megabyte in one call.
                while await _enqueue_batch(scenario, app, max(1, min(batch, 1_000_000 // size)), size):
                    pass
            except BrokerFull as error:
                refused = type(error).__name__
    return refused


def _app(scenario: Scenario) -> Aarq:
    app = Aarq(RedisBroker(scenario.server.url, namespace=NAMESPACE), name="chaos")
    define(app, JobLog(Path("/dev/null")))  # no task runs in this process
    return app


def _pulses(scenario: Scenario) -> int:
    return sum(event.job_id.startswith("cron:pulse:") for event in scenario.job_log.read())


def _waiting(scenario: Scenario) -> int:
    stats = scenario.producer.stats()
    return stats.pending + stats.running


def _reason(scenario: Scenario, job_id: str) -> str | None:
    record = scenario.producer.record(job_id)
    return record.reason if record else None
