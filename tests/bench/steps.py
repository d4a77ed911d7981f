"""How long a step of a cron expression takes: from one of its moments to the next."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from time import process_time

from aioq_cron import CronExpression
from tests.cron.month import START

__all__ = ["Step", "measure"]

STEPS = [
    ("* * * * *", "UTC", 20_000),
    ("*/5 * * * *", "Europe/Berlin", 20_000),
    ("30 2 * * *", "Europe/Berlin", 20_000),
    ("0 9 * * 1-5", "America/New_York", 5_000),
    ("0 0 1 * *", "UTC", 5_000),
    ("0 12 13 * 5", "UTC", 5_000),
    ("0 0 */100,1-7 * MON", "UTC", 5_000),
    ("0 0 29 2 *", "UTC", 500),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an expression takes, in microseconds of processor time."""

    expression: str
    zone: str
    us_a_step: float


def measure(walks: int) -> list[Step]:
    """Return the best of some walks along each expression."""
    return [
        Step(expression=expression, zone=zone, us_a_step=_best(CronExpression(expression, zone), count, walks))
        for expression, zone, count in STEPS
    ]


def _best(schedule: CronExpression, count: int, walks: int) -> float:
    return min(_walk(schedule, count) for _ in range(walks)) / count * 1e6


def _walk(schedule: CronExpression, count: int) -> float:
    start = process_time()
    for _ in islice(schedule.occurrences(START), count):
        pass
    return process_time() - start
