"""A worker is suspended for a while (SIGSTOP, SIGCONT), with entries of each misfire policy."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_args

from aioq.cron import Misfire
from aioq.model.cron import TickRecord
from tests.chaos import cron_ledger
from tests.chaos.apps.factory import KINDS, environment
from tests.chaos.disruptions import wait_until
from tests.chaos.fleet import Fleet, WorkerProcess
from tests.chaos.run_log import RunLog
from tests.chaos.tick_figures import TickFigures, count_ticks, expected_ticks
from tests.redis.layout import assert_consistent
from tests.servers import RedisServer, found

__all__ = ["FULL", "SMALL", "Plan", "Result", "run"]

APP = "tests.chaos.apps.policies:app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long the worker is stopped, and the options of its entries. Durations are in seconds."""

    every: int
    stopped: float
    """Shortest duration of the stop; the worker continues `wakes` after a tick."""
    wakes: float
    grace: float
    workers: int = 1
    """Number of workers; the first is stopped."""


FULL = Plan(every=10, stopped=150, wakes=7, grace=5)
SMALL = Plan(every=2, stopped=5, wakes=1.5, grace=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one entry: its ticks during the stop."""

    misfire: str
    kind: str
    stopped: float
    """Seconds for which the worker was stopped."""
    during: TickFigures
    """Figures of the ticks during the stop."""
    around: TickFigures
    """Figures of the ticks before and after it."""
    recorded: dict[str, int]
    """The ledger's records of the ticks during the stop: number of ticks by status and reason."""

    def row(self) -> dict[str, object]:
        """Return the result as a row of a table."""
        return {
            "misfire": self.misfire, "entry": self.kind, "ticks while stopped": self.during.ticks,
            "fired": self.during.fires, "late max s": self.during.late, "double": self.during.double,
            "before and after": f"{self.around.fires} of {self.around.ticks}",
            "in the ledger": ", ".join(f"{number} {what}" for what, number in sorted(self.recorded.items())),
        }  # fmt: skip

    def missed_bars(self) -> list[str]:
        """Return a sentence for each difference from the misfire policy."""
        name, ticks = _name(self.misfire, self.kind), self.during.ticks
        recorded = {
            "once": {"ok": 1, "skipped (coalesced)": ticks - 1},
            "skip": {"skipped (too late)": ticks},
            "all": {"ok": ticks},
        }[self.misfire]
        due = recorded.get("ok", 0)
        return [
            fault
            for fault, true in {
                f"{name} fired {self.during.fires} of {ticks} ticks of the stop, but {due} were due": self.during.fires
                != due,
                f"{name} fired {self.during.double + self.around.double} ticks twice": bool(
                    self.during.double + self.around.double
                ),
                f"{name} missed {len(self.around.missed)} ticks before or after": bool(self.around.missed),
                f"the ledger has {self.recorded} of {name}, and not {recorded}": self.recorded != recorded,
            }.items()
            if true
        ]

    def facts(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stop:
    """When the worker was stopped, and the ticks before, during and after that time."""

    frozen: float
    thawed: float
    around: list[float]
    during: list[float]


def run(plan: Plan, folder: Path) -> list[Result]:
    """Stop a worker and let it continue, on a server of its own; `folder` gets the logs."""
    log = RunLog(folder / "runs")
    with ExitStack() as stack:
        server = RedisServer(next(iter(found().values())), namespace="suspended")
        stack.callback(server.close)
        server.start()
        variables = environment(server.url, "suspended", folder / "runs")
        variables |= {"CHAOS_EVERY": str(plan.every), "CHAOS_GRACE": f"{plan.grace:g}"}
        workers = [WorkerProcess(["-m", "aioq", "worker", APP]) for _ in range(plan.workers)]
        fleet = stack.enter_context(Fleet(workers, folder, variables))
        fleet.start()
        stop = _suspend_first(fleet, plan)
        fleet.stop()
        with server.client() as client:
            assert_consistent(client, "suspended")
        records = cron_ledger.history(server.url, "suspended", [_name(*entry) for entry in _entries()])
    return [_result(plan, entry, stop, log, records[_name(*entry)]) for entry in _entries()]


def _entries() -> Iterable[tuple[str, str]]:
    policies: tuple[Misfire, ...] = get_args(Misfire)
    return product(policies, KINDS)


def _name(misfire: str, kind: str) -> str:
    return f"{misfire}.{kind}"


def _suspend_first(fleet: Fleet, plan: Plan) -> _Stop:
    """Let the fleet fire some ticks, suspend its first worker, resume it, and let it fire again."""
    start = time.time()
    wait_until(_between(start + 2 * plan.every, plan))
    fleet.freeze(0)
    frozen = time.time()
    wait_until(math.floor((frozen + plan.stopped) / plan.every) * plan.every + plan.wakes)
    thawed = time.time()
    fleet.resume(0)
    end = _between(thawed + 2 * plan.every, plan)
    wait_until(end)
    around = expected_ticks(start, frozen, plan.every) + expected_ticks(thawed, end, plan.every)
    return _Stop(frozen=frozen, thawed=thawed, around=around, during=expected_ticks(frozen, thawed, plan.every))


def _between(moment: float, plan: Plan) -> float:
    """Return the middle between the last tick up to a moment and the one after it."""
    return (math.floor(moment / plan.every) + 0.5) * plan.every


def _result(plan: Plan, entry: tuple[str, str], stop: _Stop, log: RunLog, records: Iterable[TickRecord]) -> Result:
    runs = [run for run in log.read() if run.entry == _name(*entry)]
    during = [run for run in runs if stop.frozen < run.tick <= stop.thawed]
    recorded = Counter[str]()
    for record in records:
        if stop.frozen < record.tick <= stop.thawed:
            recorded[f"{record.status} ({record.reason})" if record.reason else str(record.status)] += record.count
    return Result(
        misfire=entry[0],
        kind=entry[1],
        stopped=stop.thawed - stop.frozen,
        during=count_ticks(stop.during, plan.every, during),
        around=count_ticks(stop.around, plan.every, [run for run in runs if run not in during]),
        recorded=dict(recorded),
    )
