"""F1: kill -9 of a worker mid-run, and a second one is started. F1b: the same with nothing else in the queue."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from tests.chaos.fleet import Seat
from tests.chaos.load import Load, load_of
from tests.chaos.stage import Outcome, staged
from tests.chaos.verdict import Verdict, at_most

__all__ = ["run_alone", "run_among"]

RECOVERED = 5.0
"""Seconds after the kill at which all must be done, with a lease of 3 s or less."""
RECOVERED_BY_DEFAULT = 45.0
"""The same with the lease that a worker has by default."""
DEFAULT_LEASE = 30.0


def run_among(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """F1: many more jobs are in line."""
    load = replace(load_of(full), concurrency=100 if full else 20)
    return _run("F1", load, full, seed, folder, killed_at=load.jobs * 3 // 10)


def run_alone(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """F1b: only those that run at the kill."""
    load = replace(load_of(full), concurrency=100 if full else 20, jobs=100 if full else 20)
    return _run("F1b", load, full, seed, folder, killed_at=0)


def _run(fault: str, load: Load, full: bool, seed: int, folder: Path, *, killed_at: int) -> list[Verdict]:
    # In small a machine is shared, and may take longer to start a Python than to do all the rest.
    runs = [_Kill(load, folder / f"{n:02}", killed_at, standby=not full) for n in range(20 if full else 1)]
    verdicts = [_verdict(fault, f"lease {load.lease:g} s, {len(runs)} times", runs, seed, RECOVERED)]
    if full:
        patient = _Kill(replace(load, lease=DEFAULT_LEASE), folder / "default", killed_at)
        verdicts.append(_verdict(fault, f"lease {DEFAULT_LEASE:g} s", [patient], seed, RECOVERED_BY_DEFAULT))
    return verdicts


class _Kill:
    """One kill, and what came of it.

    Args:
        killed_at: How many jobs have ended by then.
        standby: Whether the second worker has been started before, and stands still until the kill.
    """

    def __init__(self, load: Load, folder: Path, killed_at: int, *, standby: bool = False) -> None:
        with staged(folder, [Seat(load.arguments()), Seat(load.arguments())]) as stage:
            stage.fleet.start(*((0, 1) if standby else (0,)))
            if standby:
                stage.fleet.freeze(1)
            stage.enqueue("nap", load.jobs, load.nap)
            stage.wait(lambda: stage.ended() >= killed_at and stage.begun() >= min(load.jobs, load.concurrency))
            stage.fleet.kill(0)
            killed = time.time()
            self.unacked = stage.producer.stats().running
            (stage.fleet.thaw if standby else stage.fleet.start)(1)
            self.outcome: Outcome = stage.finish(patience=load.lease * 2 + load.seconds + 30)
            self.recovered = self.outcome.account.last_end - killed


def _verdict(fault: str, case: str, kills: list[_Kill], seed: int, limit: float) -> Verdict:
    outcomes = [kill.outcome for kill in kills]
    total = replace(
        outcomes[0],
        account=replace(
            outcomes[0].account,
            jobs=sum(one.account.jobs for one in outcomes),
            lost=sum(one.account.lost for one in outcomes),
            twice=sum(one.account.twice for one in outcomes),
        ),
        stuck=sum(one.stuck for one in outcomes),
        exits=sum(one.exits for one in outcomes),
        seconds=sum(one.seconds for one in outcomes),
    )
    late = max(kill.recovered for kill in kills)
    bars = [
        at_most("ran twice beyond what was unacknowledged at the kill", _excess(kills), 0),
        at_most("seconds from the kill until all was done", late, limit),
    ]
    unacked = [kill.unacked for kill in kills]
    return total.verdict(
        fault, case, seed=seed, bars=bars, late=late, unacked=unacked, recovered=[kill.recovered for kill in kills]
    )


def _excess(kills: list[_Kill]) -> int:
    return max(kill.outcome.account.twice - kill.unacked for kill in kills)
