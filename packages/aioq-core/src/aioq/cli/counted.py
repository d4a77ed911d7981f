"""Reads what a broker has counted, for commands that show how jobs flow."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeVar

from aioq.app import Aarq
from aioq.cli.exit_codes import CommandError
from aioq.cli.times import format_duration
from aioq.conformance import supports
from aioq.model.flow import FULL_MINUTES, Flow, flows
from aioq.model.statistics import Count, JobOutcome, Step, period_of
from aioq.protocols import Statistics

__all__ = ["NOT_KEPT", "add_hours", "check_hours", "flow_as_json", "percentile_text", "read_counts", "read_flows"]

K = TypeVar("K", bound=Hashable)

NOT_KEPT: Final = "the broker keeps no counts (aioq.protocols.Statistics)"

PERCENTILES: Final = (50, 95, 99)


def add_hours(parser: argparse.ArgumentParser, default: int) -> None:
    """Add the number of hours that count."""
    parser.add_argument(
        "--hours", type=int, default=default, metavar="COUNT",
        help=f"the hours that count, the running one included; %(default)s by default, at most {Step.HOUR.kept}",
    )  # fmt: skip


def check_hours(arguments: argparse.Namespace, command: str) -> None:
    """Reject a number of hours that no broker keeps.

    Raises:
        CommandError: It is out of range.
    """
    if not 1 <= arguments.hours <= Step.HOUR.kept:
        raise CommandError(f"{command}: --hours must be between 1 and {Step.HOUR.kept}, got {arguments.hours}")


async def read_flows(
    app: Aarq, key: Callable[[Count], K], *, hours: int, queue: str | None = None, task: str | None = None
) -> dict[K, Flow] | None:
    """Return how the jobs of each key flow; None if the broker of the connected app keeps no counts.

    Args:
        app: The app.
        key: Returns what a count belongs to.
        hours: The hours whose outcomes and histograms are wanted, the running one included.
        queue: Only this queue.
        task: Only this task.
    """
    minutes = await read_counts(app, Step.MINUTE, FULL_MINUTES + 1, queue=queue, task=task)
    by_hour = await read_counts(app, Step.HOUR, hours, queue=queue, task=task)
    if minutes is None or by_hour is None:
        return None
    return flows(minutes, by_hour, await app.broker.time(), key)


async def read_counts(
    app: Aarq, step: Step, periods: int, *, queue: str | None = None, task: str | None = None
) -> Sequence[Count] | None:
    """Return the counts of the latest periods, the running one included; None if the broker keeps none."""
    end = period_of(await app.broker.time(), step) + step
    if not supports(app.broker, Statistics):
        return None
    return await app.broker.read_counts(step=step, start=end - periods * step, end=end, queue=queue, task=task)


def flow_as_json(flow: Flow) -> dict[str, object]:
    """Return a flow for `--json`: durations are seconds."""
    return {
        **{str(outcome): flow.outcomes.get(outcome, 0) for outcome in JobOutcome},
        "entered_a_minute": flow.entered,
        "ended_a_minute": flow.ended,
        "mean_run_seconds": flow.mean_duration,
        **{f"wait_p{share}_seconds": flow.wait_below(share / 100) for share in PERCENTILES},
        **{f"run_p{share}_seconds": flow.duration_below(share / 100) for share in PERCENTILES},
    }


def percentile_text(seconds: float | None) -> str:
    """Return a percentile or a mean for a table, below a second in milliseconds; a dash if there is none."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else format_duration(seconds)
