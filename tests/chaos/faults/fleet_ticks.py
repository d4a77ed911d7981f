"""F12: a fleet of workers has one entry, which must fire once per tick.

Each of four variants puts the fleet through something: nothing; kill -9 of random workers; workers whose clocks are an
hour off; restarts of the server. The entry exists three times: as a cron with `unique=True`, as a schedule whose ticks
become jobs, and as such a schedule that the broker stores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from aioq.model.cron import TickStatus
from tests.chaos import cron_ledger, disruptions
from tests.chaos.apps.factory import environment
from tests.chaos.disruptions import Disruption
from tests.chaos.fleet import Fleet, WorkerProcess
from tests.chaos.run_log import RunLog
from tests.chaos.tick_figures import TickFigures, count_ticks, expected_ticks
from tests.redis.layout import assert_consistent
from tests.servers import RedisServer, found

__all__ = ["FAULT", "FULL", "SMALL", "VARIANTS", "Plan", "Result", "run"]

FAULT = "F12 fleet_ticks"

VARIANTS = ("calm", "kills", "clocks", "restarts")

APP = "tests.chaos.apps.fleet:app"
DURABLE = ("--appendonly", "yes")
"""Options of a server that keeps its data over a restart."""
ENTRIES = ("inline", "job", "stored")
OFFSETS = (-3600.0, 3600.0, 0.0, -1800.0, 3600.0)
"""Seconds by which the clocks of the workers are ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The size of the run. Durations are in seconds."""

    workers: int
    every: int
    seconds: float
    disrupt_every: float
    lease: float


FULL = Plan(workers=5, every=5, seconds=130, disrupt_every=10, lease=5)
SMALL = Plan(workers=3, every=1, seconds=6, disrupt_every=1.5, lease=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one variant."""

    variant: str
    seed: int
    disruptions: int
    """Number of kills or restarts."""
    exits: int
    """Workers that exited without a signal to stop, or with a code other than 0."""
    inline: TickFigures
    jobs: TickFigures
    stored: TickFigures

    @property
    def entries(self) -> tuple[tuple[str, TickFigures], ...]:
        """The figures of each entry."""
        return ("unique=True", self.inline), ("app.schedule", self.jobs), ("app.schedules", self.stored)

    def rows(self) -> list[dict[str, object]]:
        """Return the result as rows of a table."""
        return [self._row(entry, figures) for entry, figures in self.entries]

    def missed_bars(self, *, measured: bool = True) -> list[str]:
        """Return a sentence for each bar that was not reached; `measured=False` leaves out what the machine decides."""
        return (
            [
                f"{self.variant}, {entry}: {fault}"
                for entry, figures in self.entries
                for fault in figures.missed_bars(measured=measured)
            ]
            + [
                f"{self.variant}, {entry}: {len(figures.died)} ticks were granted and did not fire"
                for entry, figures in self.entries
                # A kill between the grant and the call of the function loses the tick of a cron, but not that of a job.
                if figures.died and (figures is not self.inline or self.variant != "kills")
            ]
            + [f"{self.variant}: {self.exits} workers exited by themselves"] * bool(self.exits)
        )

    def facts(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)

    def _row(self, entry: str, figures: TickFigures) -> dict[str, object]:
        return {
            "variant": self.variant, "entry": entry, "ticks": figures.ticks, "fires": figures.fires,
            "double": figures.double, "missed": len(figures.missed), "died": len(figures.died), "late max s": figures.late,
            "start max s": figures.started, "reruns": figures.reruns, "disruptions": self.disruptions, "worker exits": self.exits,
        }  # fmt: skip


def run(variant: str, plan: Plan, seed: int, folder: Path) -> Result:
    """Put a fleet through one variant, on a server of its own; `folder` gets the logs."""
    random = Random(f"{seed} {variant}")
    log = RunLog(folder / "runs")
    with ExitStack() as stack:
        server = RedisServer(next(iter(found().values())), DURABLE if variant == "restarts" else (), namespace="f12")
        stack.callback(server.close)
        server.start()
        variables = environment(server.url, "f12", folder / "runs") | {"CHAOS_EVERY": str(plan.every)}
        fleet = stack.enter_context(Fleet(_workers(variant, plan), folder, variables))
        fleet.start()
        start = time.time()
        moments, disrupt = _disruptions(variant, plan, random, start, fleet, server)
        disrupted = disruptions.run_disruptions(moments, disrupt)
        end = start + plan.seconds
        disruptions.wait_until(end)
        ticks = expected_ticks(start, end, plan.every)
        _wait_until_all_ran(log, ticks, timeout=2 * plan.lease + 2)
        fleet.stop()
        granted = _granted(server.url)
        with server.client() as client:
            assert_consistent(client, "f12")
    runs = log.read()

    def figures(entry: str) -> TickFigures:
        return count_ticks(ticks, plan.every, [run for run in runs if run.entry == entry], granted[entry])

    exits = fleet.bad_exits
    return Result(
        variant=variant, seed=seed, disruptions=disrupted, exits=exits, inline=figures("inline"), jobs=figures("job"),
        stored=figures("stored"),
    )  # fmt: skip


def _workers(variant: str, plan: Plan) -> list[WorkerProcess]:
    if variant == "clocks":
        offsets = [OFFSETS[number % len(OFFSETS)] for number in range(plan.workers)]
        return [
            WorkerProcess(["-m", "tests.chaos.wrong_clock", APP, f"{offset:g}", f"{plan.lease:g}"])
            for offset in offsets
        ]
    return [WorkerProcess(["-m", "aioq", "worker", APP, "--lease", f"{plan.lease:g}"]) for _ in range(plan.workers)]


def _disruptions(
    variant: str, plan: Plan, random: Random, start: float, fleet: Fleet, server: RedisServer
) -> tuple[Sequence[Disruption], Callable[[Disruption], None]]:
    """Return the disruptions of a variant, and the function that carries out one of them."""

    def kill(disruption: Disruption) -> None:
        fleet.kill(disruption.worker)
        fleet.start(disruption.worker)

    def restart(_: Disruption) -> None:
        server.restart()

    end, every, tick = start + plan.seconds - 1, plan.disrupt_every, plan.every
    if variant == "kills":
        return disruptions.draw_kills(random, start, end, every=every, tick=tick, workers=plan.workers), kill
    if variant == "restarts":
        return disruptions.draw_restarts(random, start, end, every=2 * every, tick=tick), restart
    return [], kill


def _wait_until_all_ran(log: RunLog, ticks: Sequence[float], *, timeout: float) -> None:
    """Wait until every tick ran as a cron and as the jobs of both schedules; the job of a killed worker runs after its lease."""
    deadline = time.time() + timeout
    while time.time() < deadline:
        done = {(run.entry, run.tick) for run in log.read()}
        if all((entry, tick) in done for entry in ENTRIES for tick in ticks):
            return
        time.sleep(0.1)


def _granted(url: str) -> dict[str, set[float]]:
    """Return the ticks that the ledger has granted, by entry."""
    fired = (TickStatus.FIRED, TickStatus.OK, TickStatus.FAILED)
    return {
        name: {record.tick for record in records if record.status in fired}
        for name, records in cron_ledger.history(url, "f12", ENTRIES).items()
    }
