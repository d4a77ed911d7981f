"""A server, a fleet of workers on it, and jobs for them: every fault of jobs begins with a scenario."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.apps.factory import environment
from tests.chaos.fault_result import Bar, FaultResult, at_most, exactly
from tests.chaos.fleet import Fleet, WorkerProcess
from tests.chaos.job_figures import JobFigures, count_jobs
from tests.chaos.job_log import JobLog
from tests.chaos.producer import NAMESPACE, Producer
from tests.redis.layout import leaks_in
from tests.servers import RedisServer, found

__all__ = ["DURABLE", "Outcome", "Scenario", "open_scenario", "start_server"]

DURABLE = ("--appendonly", "yes")
"""Options of a server that keeps its data over a restart."""
POLL_INTERVAL = 0.01
"""Seconds between two reads of the job log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The state of jobs, workers and keys after the fleet was stopped."""

    figures: JobFigures
    stuck: int
    """Jobs that the broker still has in a queue or running."""
    dead: int
    exits: int
    """Workers that exited without a signal to stop, or with a code other than 0."""
    errors: int
    """Lines at level ERROR in the logs of the workers."""
    leaks: list[str]
    """Jobs and keys that are not in a state that is allowed between operations."""
    seconds: float
    """Seconds since the scenario was opened."""

    def result(
        self,
        fault: str,
        case: str,
        *,
        seed: int,
        bars: Sequence[Bar],
        late: float = 0.0,
        may_lose: int = 0,
        **facts: object,
    ) -> FaultResult:
        """Return the result of a fault: its own bars and those that all faults have."""
        common = [
            at_most("lost", self.figures.lost, may_lose),
            exactly("stuck", self.stuck, 0),
            exactly("worker exits", self.exits, 0),
            exactly("leaks", ", ".join(self.leaks) or 0, 0),
        ]
        return FaultResult(
            fault=fault, case=case, seed=seed, jobs=self.figures.jobs, lost=self.figures.lost,
            twice=self.figures.twice, late=late, exits=self.exits, seconds=self.seconds,
            bars=[*common, *bars], facts=facts,
        )  # fmt: skip


class Scenario:
    """A server with a fleet of workers, a log of what they run, and a producer of jobs."""

    def __init__(self, server: RedisServer, fleet: Fleet, job_log: JobLog, producer: Producer) -> None:
        self.server = server
        self.fleet = fleet
        self.job_log = job_log
        self.producer = producer
        self.enqueued: list[str] = []
        """The ids of jobs whose enqueue returned, and which must run to the end."""
        self._opened_at = time.time()

    def enqueue(self, task: str, number: int, *args: object, **options: object) -> list[str]:
        """Enqueue jobs that must run to the end, and return their ids."""
        ids = self.producer.enqueue(task, number, *args, **options)
        self.enqueued += ids
        return ids

    def ended(self) -> int:
        """Return the number of runs that have ended."""
        return sum(event.kind == "end" for event in self.job_log.read())

    def begun(self) -> int:
        """Return the number of runs that have begun."""
        return sum(event.kind == "begin" for event in self.job_log.read())

    def under_way(self) -> int:
        """Return the number of runs that have begun and not ended."""
        return self.begun() - self.ended()

    def wait(self, condition: Callable[[], object], timeout: float = 60.0) -> bool:
        """Wait until a condition is true; return False after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_INTERVAL)
        return True

    def wait_ended(self, number: int, timeout: float = 60.0) -> bool:
        """Wait until at least `number` runs have ended; return False after `timeout` seconds."""
        return self.wait(lambda: self.ended() >= number, timeout)

    def wait_all(self, timeout: float = 60.0) -> bool:
        """Wait until all jobs have run to the end; return False after `timeout` seconds."""
        missing = set(self.enqueued)
        seen = 0

        def have_all_ended() -> bool:
            nonlocal seen
            events = self.job_log.read()
            missing.difference_update(event.job_id for event in events[seen:] if event.kind == "end")
            seen = len(events)
            return not missing

        return self.wait(have_all_ended, timeout)

    def figures(self) -> JobFigures:
        """Compare the runs so far with the enqueued jobs."""
        return count_jobs(self.enqueued, self.job_log.read())

    def finish(self, timeout: float = 60.0, *, settle_timeout: float = 10.0) -> Outcome:
        """Wait until all jobs have run and are settled, stop the fleet, and return the outcome."""
        self.wait_all(timeout)
        deadline = time.monotonic() + settle_timeout
        while (unsettled := self._unsettled()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.fleet.stop()
        return Outcome(
            figures=self.figures(),
            stuck=unsettled,
            dead=self.producer.stats().dead,
            exits=self.fleet.bad_exits,
            errors=self.fleet.logs().count(" ERROR "),
            leaks=self._leaks(),
            seconds=time.time() - self._opened_at,
        )

    def _leaks(self) -> list[str]:
        with self.server.client() as client:
            return leaks_in(client, NAMESPACE)

    def _unsettled(self) -> int:
        stats = self.producer.stats()
        return stats.pending + stats.scheduled + stats.running


def start_server(stack: ExitStack, options: Sequence[str] = (), *, tcp: bool = False) -> RedisServer:
    """Start a server for one fault; `stack` closes it."""
    server = RedisServer(next(iter(found().values())), options, tcp=tcp, namespace=NAMESPACE)
    stack.callback(server.close)
    server.start()
    return server


@contextmanager
def open_scenario(
    folder: Path,
    workers: Sequence[WorkerProcess],
    *,
    options: Sequence[str] = (),
    server: RedisServer | None = None,
    worker_url: str = "",
    variables: Mapping[str, str] | None = None,
) -> Generator[Scenario]:
    """Open a scenario whose workers are not started yet.

    Args:
        folder: The folder for the workers' logs and the job log.
        workers: The worker processes.
        options: Options of the server, if this function starts it.
        server: A server that already runs.
        worker_url: The URL for the workers, if it is not that of the server.
        variables: Further environment variables for the workers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server = server or start_server(stack, options)
        log = folder / "job-log"
        given = environment(worker_url or server.url, NAMESPACE, log) | dict(variables or {})
        fleet = stack.enter_context(Fleet(workers, folder, given))
        yield Scenario(server, fleet, JobLog(log), Producer(server.url))
