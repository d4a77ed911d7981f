"""Step through cron expressions with one library: `python step_cron.py NAME`. Needs nothing but that library.

Prints the microseconds of processor time of a step and of a construction, by expression, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

ZONE = "Europe/Berlin"
EXPRESSIONS = ("* * * * *", "*/5 * * * *", "0 9 * * *", "0 9 * * 1-5", "0 9 * * 1", "0 0 1 * *")
STEPS = 400
BUILT = 200
START = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = START.astimezone(ZoneInfo(ZONE))

Stepper = Callable[[], Any]


def _aioq() -> Callable[[str], Stepper]:
    kind = import_module("aioq_cron").CronExpression

    def build(text: str) -> Stepper:
        next_after, at = kind(text, ZONE).next_after, START

        def step() -> Any:
            nonlocal at
            at = next_after(at)
            return at

        return step

    return build


def _croniter() -> Callable[[str], Stepper]:
    kind = import_module("croniter").croniter
    return lambda text: kind(text, LOCAL, datetime).get_next


def _cronsim() -> Callable[[str], Stepper]:
    kind = import_module("cronsim").CronSim
    return lambda text: kind(text, LOCAL).__next__


def _crondst() -> Callable[[str], Stepper]:
    kind = import_module("crondst").CronDst
    return lambda text: kind(text).iter(LOCAL).__next__


def _apscheduler() -> Callable[[str], Stepper]:
    kind = import_module("apscheduler.triggers.cron").CronTrigger

    def build(text: str) -> Stepper:
        trigger, at = kind.from_crontab(text, ZONE), LOCAL

        def step() -> Any:
            nonlocal at
            at = trigger.get_next_fire_time(at, at)
            return at

        return step

    return build


def _cron_converter() -> Callable[[str], Stepper]:
    kind = import_module("cron_converter").Cron
    return lambda text: kind(text).schedule(LOCAL).next


def _crontab() -> Callable[[str], Stepper]:
    kind = import_module("crontab").CronTab

    def build(text: str) -> Stepper:
        entry, at = kind(text), LOCAL

        def step() -> Any:
            nonlocal at
            at = entry.next(now=at, default_utc=False, return_datetime=True)
            return at

        return step

    return build


LIBRARIES = {
    "aioq-cron": _aioq,
    "croniter": _croniter,
    "cronsim": _cronsim,
    "crondst": _crondst,
    "apscheduler": _apscheduler,
    "cron-converter": _cron_converter,
    "crontab": _crontab,
}


def main(name: str) -> None:
    """Measure a library once, and print its figures."""
    build = LIBRARIES[name]()
    # The first object of a library loads its zones and tables.
    build(EXPRESSIONS[0])()
    print(json.dumps({text: [_steps(build(text)), _built(build, text)] for text in EXPRESSIONS}))


def _steps(step: Stepper) -> float:
    start = time.process_time()
    for _ in range(STEPS):
        step()
    return (time.process_time() - start) / STEPS * 1e6


def _built(build: Callable[[str], Stepper], text: str) -> float:
    start = time.process_time()
    for _ in range(BUILT):
        build(text)
    return (time.process_time() - start) / BUILT * 1e6


if __name__ == "__main__":
    main(sys.argv[1])
