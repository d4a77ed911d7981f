# pyright: reportMissingImports=false
"""docket: jobs in a stream, with a hash for each job."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from docket import Docket, Worker

from tests.bench.throughput.contenders.harness import main, meter


async def nothing(value: float) -> None:
    """Do nothing."""
    await meter.nothing(value)


async def keep(value: float) -> float:
    """Return something."""
    await meter.nothing(value)
    return value


async def nap(value: float) -> None:
    """Sleep."""
    await meter.nap(value)


async def stamp(value: float) -> None:
    """Tell the latency."""
    await meter.stamp(value)


TASKS: dict[str, Any] = {"nothing": nothing, "keep": keep, "nap": nap, "stamp": stamp}


def docket() -> Docket:
    """Return the docket: one that keeps no executions unless results are asked for."""
    keeps = os.environ.get("BENCH_KIND") == "keep"
    return Docket(url=os.environ["BENCH_URL"], execution_ttl=timedelta(seconds=900 if keeps else 0))


class Pydocket:
    """See `Contender`."""

    docket: Docket

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Open what a producer needs."""
        async with docket() as self.docket:
            for task in TASKS.values():
                self.docket.register(task)
            yield

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        return await self.docket.add(TASKS[kind])(value)

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """Enqueue many in one call."""
        call: Any = self.docket.call
        return await self.docket.add_many([call(TASKS[kind])(value) for value in values])

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled, one that looks around often."""
        async with (
            self.connected(),
            Worker(
                self.docket,
                concurrency=concurrency,
                minimum_check_interval=timedelta(milliseconds=10),
                scheduling_resolution=timedelta(milliseconds=10),
            ) as worker,
        ):
            return await worker.run_forever()


if __name__ == "__main__":
    main(Pydocket())
