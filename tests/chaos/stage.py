"""A server, a fleet of workers on it, and jobs for them: what every fault of jobs begins with."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.account import Account, reckon
from tests.chaos.apps.making import environment
from tests.chaos.fleet import Fleet, Seat
from tests.chaos.journal import Journal
from tests.chaos.producer import NAMESPACE, Producer
from tests.chaos.verdict import Bar, Verdict, at_most, exactly
from tests.redis.layout import leaks_in
from tests.servers import RedisServer, found

__all__ = ["DURABLE", "Outcome", "Stage", "begin_server", "staged"]

DURABLE = ("--appendonly", "yes")
"""Options of a server that forgets nothing when it is shut down and started again."""
LOOK = 0.01
"""Seconds between two looks at the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How things stood when the fleet had been told to stop."""

    account: Account
    stuck: int
    """Jobs that the broker still had in line, or running, after all patience."""
    dead: int
    exits: int
    """Workers that left without being told to, or with another code than 0."""
    errors: int
    """Lines that workers logged at the level ERROR."""
    leaks: list[str]
    """What no key, or no job, may be like between any two operations."""
    seconds: float
    """Since the stage was set."""

    def verdict(
        self,
        fault: str,
        case: str,
        *,
        seed: int,
        bars: Sequence[Bar],
        late: float = 0.0,
        may_lose: int = 0,
        **facts: object,
    ) -> Verdict:
        """Return it with the bars of a fault, to which those are added that there are for all."""
        common = [
            at_most("lost", self.account.lost, may_lose),
            exactly("stuck", self.stuck, 0),
            exactly("worker exits", self.exits, 0),
            exactly("leaks", ", ".join(self.leaks) or 0, 0),
        ]
        return Verdict(
            fault=fault, case=case, seed=seed, jobs=self.account.jobs, lost=self.account.lost,
            twice=self.account.twice, late=late, exits=self.exits, seconds=self.seconds,
            bars=[*common, *bars], facts=facts,
        )  # fmt: skip


class Stage:
    """Where a fault happens."""

    def __init__(self, server: RedisServer, fleet: Fleet, journal: Journal, producer: Producer) -> None:
        self.server, self.fleet, self.journal, self.producer = server, fleet, journal, producer
        self.asked: list[str] = []
        """The ids of jobs whose enqueue returned, and which are to run to the end."""
        self._set = time.time()

    def enqueue(self, task: str, number: int, *args: object, **options: object) -> list[str]:
        """Enqueue jobs that are to run to the end, and return their ids."""
        ids = self.producer.enqueue(task, number, *args, **options)
        self.asked += ids
        return ids

    def ended(self) -> int:
        """Return how many runs have come to their end."""
        return sum(mark.what == "end" for mark in self.journal.read())

    def begun(self) -> int:
        """Return how many runs have begun."""
        return sum(mark.what == "begin" for mark in self.journal.read())

    def under_way(self) -> int:
        """Return how many runs have begun and not ended."""
        return self.begun() - self.ended()

    def wait(self, condition: Callable[[], object], patience: float = 60.0) -> bool:
        """Return when it holds, or False when it does not for so many seconds."""
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK)
        return True

    def wait_ended(self, number: int, patience: float = 60.0) -> bool:
        """Return when so many runs have come to their end."""
        return self.wait(lambda: self.ended() >= number, patience)

    def wait_all(self, patience: float = 60.0) -> bool:
        """Return when all jobs have run to the end."""
        left = set(self.asked)
        seen = 0

        def is_over() -> bool:
            nonlocal seen
            marks = self.journal.read()
            left.difference_update(mark.job_id for mark in marks[seen:] if mark.what == "end")
            seen = len(marks)
            return not left

        return self.wait(is_over, patience)

    def account(self) -> Account:
        """Hold what has been run against what was enqueued."""
        return reckon(self.asked, self.journal.read())

    def finish(self, patience: float = 60.0, *, settling: float = 10.0) -> Outcome:
        """Stop the fleet when all has run to the end and has been settled, and say how things stand."""
        self.wait_all(patience)
        deadline = time.monotonic() + settling
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.fleet.stop()
        return Outcome(
            account=self.account(),
            stuck=left,
            dead=self.producer.stats().dead,
            exits=self.fleet.bad_exits,
            errors=self.fleet.logs().count(" ERROR "),
            leaks=self._leaks(),
            seconds=time.time() - self._set,
        )

    def _leaks(self) -> list[str]:
        with self.server.client() as client:
            return leaks_in(client, NAMESPACE)

    def _left(self) -> int:
        stats = self.producer.stats()
        return stats.pending + stats.scheduled + stats.running


def begin_server(stack: ExitStack, options: Sequence[str] = (), *, tcp: bool = False) -> RedisServer:
    """Start a server of the fault's own."""
    server = RedisServer(next(iter(found().values())), options, tcp=tcp, namespace=NAMESPACE)
    stack.callback(server.close)
    server.start()
    return server


@contextmanager
def staged(
    folder: Path,
    seats: Sequence[Seat],
    *,
    options: Sequence[str] = (),
    server: RedisServer | None = None,
    worker_url: str = "",
    variables: Mapping[str, str] | None = None,
) -> Generator[Stage]:
    """Set the stage; no worker is up yet.

    Args:
        folder: Gets the logs and the journal.
        seats: The workers.
        options: Of the server, if it is started here.
        server: One that runs.
        worker_url: Where workers find it, if not where it is.
        variables: Further ones for the workers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        server = server or begin_server(stack, options)
        journal = folder / "journal"
        given = environment(worker_url or server.url, NAMESPACE, journal) | dict(variables or {})
        fleet = stack.enter_context(Fleet(seats, folder, given))
        yield Stage(server, fleet, Journal(journal), Producer(server.url))
