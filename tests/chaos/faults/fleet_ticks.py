"""F12: a fleet of workers, and one entry that must fire once per tick, whatever is done to them.

It runs four ways: undisturbed; with kill -9 of a random worker; with the clocks of the workers an
hour off; with the server restarting. Each time the entry is there twice, as a cron with
`unique=True` and as a schedule, whose ticks become jobs.
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
from tests.chaos import ledgers, mayhem
from tests.chaos.apps.making import environment
from tests.chaos.figures import TickFigures, count, grid
from tests.chaos.fleet import Fleet, Seat
from tests.chaos.mayhem import Blow
from tests.chaos.runs import RunLog
from tests.redis.layout import assert_consistent
from tests.servers import RedisServer, found

__all__ = ["FULL", "SMALL", "VARIANTS", "Plan", "Result", "run"]

VARIANTS = ("calm", "kills", "clocks", "restarts")

APP = "tests.chaos.apps.fleet:app"
KEPT = ("--appendonly", "yes")
"""Options of a server that forgets nothing when it is shut down and started again."""
OFFSETS = (-3600.0, 3600.0, 0.0, -1800.0, 3600.0)
"""Seconds that the workers' clocks are ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large it is. Durations are in seconds."""

    workers: int
    every: int
    seconds: float
    blow_every: float
    lease: float


FULL = Plan(workers=5, every=5, seconds=130, blow_every=10, lease=5)
SMALL = Plan(workers=3, every=1, seconds=6, blow_every=1.5, lease=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one variant."""

    variant: str
    seed: int
    blows: int
    """Kills or restarts."""
    exits: int
    """Workers that left without being told to, or with another code than 0."""
    inline: TickFigures
    jobs: TickFigures

    def rows(self) -> list[dict[str, object]]:
        """Return it as rows of a table."""
        return [self._row("unique=True", self.inline), self._row("app.schedule", self.jobs)]

    def faults(self) -> list[str]:
        """Return which bars are not reached, in words."""
        return (
            [
                f"{self.variant}, {entry}: {fault}"
                for entry, figures in (("unique=True", self.inline), ("app.schedule", self.jobs))
                for fault in figures.faults()
            ]
            + [
                f"{self.variant}, {entry}: {len(figures.died)} ticks were granted and did not fire"
                for entry, figures in (("unique=True", self.inline), ("app.schedule", self.jobs))
                # Between the grant and the first line of the function a kill can come: a cron is then lost, a job is not.
                if figures.died and (figures is self.jobs or self.variant != "kills")
            ]
            + [f"{self.variant}: {self.exits} workers left by themselves"] * bool(self.exits)
        )

    def facts(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    def _row(self, entry: str, figures: TickFigures) -> dict[str, object]:
        return {
            "variant": self.variant, "entry": entry, "ticks": figures.ticks, "fires": figures.fires,
            "double": figures.double, "missed": len(figures.missed), "died": len(figures.died), "late max s": figures.late,
            "start max s": figures.started, "reruns": figures.reruns, "blows": self.blows, "worker exits": self.exits,
        }  # fmt: skip


def run(variant: str, plan: Plan, seed: int, folder: Path) -> Result:
    """Put a fleet through one variant, on a server of its own; `folder` gets the logs."""
    random = Random(f"{seed} {variant}")
    log = RunLog(folder / "runs")
    with ExitStack() as stack:
        server = RedisServer(next(iter(found().values())), KEPT if variant == "restarts" else (), namespace="f12")
        stack.callback(server.close)
        server.start()
        variables = environment(server.url, "f12", folder / "runs") | {"CHAOS_EVERY": str(plan.every)}
        fleet = stack.enter_context(Fleet(_seats(variant, plan), folder, variables))
        fleet.start()
        start = time.time()
        blows, strike = _blows(variant, plan, random, start, fleet, server)
        struck = mayhem.carry_out(blows, strike)
        end = start + plan.seconds
        mayhem.wait_until(end)
        ticks = grid(start, end, plan.every)
        _wait_run(log, ticks, patience=2 * plan.lease + 2)
        fleet.stop()
        granted = _granted(server.url)
        with server.client() as client:
            assert_consistent(client, "f12")
    runs = log.read()

    def figures(entry: str) -> TickFigures:
        return count(ticks, plan.every, [run for run in runs if run.entry == entry], granted[entry])

    exits = fleet.bad_exits
    return Result(variant=variant, seed=seed, blows=struck, exits=exits, inline=figures("inline"), jobs=figures("job"))


def _seats(variant: str, plan: Plan) -> list[Seat]:
    if variant == "clocks":
        offsets = [OFFSETS[number % len(OFFSETS)] for number in range(plan.workers)]
        return [Seat(["-m", "tests.chaos.off_clock", APP, f"{offset:g}", f"{plan.lease:g}"]) for offset in offsets]
    return [Seat(["-m", "aioq", "worker", APP, "--lease", f"{plan.lease:g}"]) for _ in range(plan.workers)]


def _blows(
    variant: str, plan: Plan, random: Random, start: float, fleet: Fleet, server: RedisServer
) -> tuple[Sequence[Blow], Callable[[Blow], None]]:
    """Return when something happens, and what."""

    def kill(blow: Blow) -> None:
        fleet.kill(blow.victim)
        fleet.start(blow.victim)

    def restart(_: Blow) -> None:
        server.restart()

    end, every, tick = start + plan.seconds - 1, plan.blow_every, plan.every
    if variant == "kills":
        return mayhem.draw_kills(random, start, end, every=every, tick=tick, workers=plan.workers), kill
    if variant == "restarts":
        return mayhem.draw_restarts(random, start, end, every=2 * every, tick=tick), restart
    return [], kill


def _wait_run(log: RunLog, ticks: Sequence[float], *, patience: float) -> None:
    """Wait until every tick has been run both ways: the job of a killed worker, after its lease."""
    deadline = time.time() + patience
    while time.time() < deadline:
        done = {(run.entry, run.tick) for run in log.read()}
        if all((entry, tick) in done for entry in ("inline", "job") for tick in ticks):
            return
        time.sleep(0.1)


def _granted(url: str) -> dict[str, set[float]]:
    """Return the ticks that the ledger has granted to somebody, by entry."""
    fired = (TickStatus.FIRED, TickStatus.OK, TickStatus.FAILED)
    return {
        name: {record.tick for record in records if record.status in fired}
        for name, records in ledgers.history(url, "f12", ["inline", "job"]).items()
    }
