# pyright: reportMissingImports=false
"""docket: jobs in a stream, with a hash for each job."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from docket import Cron, Docket, Worker

from tests.bench.throughput.contenders.harness import cron, main, meter


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


def docket(keeps: bool) -> Docket:
    """Return the docket: one that keeps no executions unless results are asked for."""
    return Docket(url=os.environ["BENCH_URL"], execution_ttl=timedelta(seconds=900 if keeps else 0))


class Pydocket:
    """See `Contender`."""

    plain: Docket
    keeping: Docket

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[None]:
        """Open what a producer needs."""
        async with docket(False) as self.plain, docket(True) as self.keeping:
            for task in TASKS.values():
                self.plain.register(task)
                self.keeping.register(task)
            yield

    async def send(self, kind: str, value: float) -> object:
        """Enqueue one job."""
        return await self._docket(kind).add(TASKS[kind])(value)

    async def send_many(self, kind: str, values: Sequence[float]) -> object:
        """Enqueue many in one call."""
        docket = self._docket(kind)
        call: Any = docket.call
        return await docket.add_many([call(TASKS[kind])(value) for value in values])

    async def send_later(self, values: Sequence[float], due: Sequence[float]) -> object:
        """Enqueue many in one call."""
        call: Any = self.plain.call
        when = [datetime.fromtimestamp(at, UTC) for at in due]
        return await self.plain.add_many([call(nothing, at)(value) for value, at in zip(values, when, strict=True)])

    async def work(self, concurrency: int) -> object:
        """Be a worker until cancelled, one that looks around often."""
        async with (
            self.connected(),
            Worker(
                self._docket(os.environ.get("BENCH_KIND", "nothing")),
                concurrency=concurrency,
                minimum_check_interval=timedelta(milliseconds=10),
                scheduling_resolution=timedelta(milliseconds=10),
            ) as worker,
        ):
            return await worker.run_forever()

    async def idle(self, crons: int) -> object:
        """Be a worker with crons, each of a function of its own, one that looks around as it does by itself."""
        async with docket(False) as one:
            for n in range(crons):
                minute, hour, day, month = cron(n)
                one.register(_never(n, f"{minute} {hour} {day} {month} *"))
            async with Worker(one, concurrency=100) as worker:
                return await worker.run_forever()

    def _docket(self, kind: str) -> Docket:
        return self.keeping if kind == "keep" else self.plain


def _never(number: int, expression: str) -> Any:
    when = Cron(expression)

    async def never(cron: Cron = when) -> None:
        """Do nothing, in months."""

    never.__name__ = f"n{number}"
    return never


if __name__ == "__main__":
    main(Pydocket())
