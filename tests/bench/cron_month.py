"""How fast the cron library is, in processor time: microseconds a step, and seconds for a month of a hundred crons.

python -m tests.bench.cron_month
"""

from __future__ import annotations

from itertools import islice
from time import process_time

import anyio

from aioq_cron import CronExpression, CronScheduler
from tests.cron import month

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


def step(expression: str, zone: str, count: int) -> float:
    """Return the microseconds that a step of an expression takes, the best of three."""
    return min(_walk(CronExpression(expression, zone), count) for _ in range(3)) / count * 1e6


def _walk(schedule: CronExpression, count: int) -> float:
    start = process_time()
    for _ in islice(schedule.occurrences(month.START), count):
        pass
    return process_time() - start


def main() -> None:
    """Print the figures."""
    for expression, zone, count in STEPS:
        print(f"{expression:22}{zone:18}{step(expression, zone, count):8.1f} us a step")
    schedules = [CronScheduler().parse(text, tz=month.ZONE) for text in month.EXPRESSIONS]
    start = process_time()
    fired, waits = anyio.run(month.live, schedules)
    seconds = process_time() - start
    print(f"a month of {len(schedules)} crons: {len(fired):,} ticks, {waits:,} wakes, {seconds:.2f} s")


if __name__ == "__main__":
    main()
