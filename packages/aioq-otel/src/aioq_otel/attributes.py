"""Names the attributes of spans and metrics, and computes them from jobs.

Those that begin with `messaging.` and `error.` are of the semantic conventions of OpenTelemetry. The package that has
them as constants belongs to the SDK, which this distribution does not require.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from aioq.model.job import Lease, NewJob

__all__ = [
    "CRON",
    "DESTINATION",
    "ERROR_TYPE",
    "OUTCOME",
    "QUEUE",
    "SYSTEM",
    "TASK",
    "Attributes",
    "error_type",
    "of_enqueue",
    "of_run",
]

Attributes: TypeAlias = dict[str, str | int | float | bool]

SYSTEM: Final[Mapping[str, str]] = {"messaging.system": "aioq"}
DESTINATION: Final = "messaging.destination.name"
TASK: Final = "aioq.task"
OUTCOME: Final = "aioq.outcome"
CRON: Final = "aioq.cron.name"
QUEUE: Final = "aioq.queue"
"""The queue of a cron, which sends no messages to it."""
ERROR_TYPE: Final = "error.type"

SEND: Final = {"messaging.operation.name": "enqueue", "messaging.operation.type": "send"}
PROCESS: Final = {"messaging.operation.name": "run", "messaging.operation.type": "process"}


def of_enqueue(jobs: Sequence[NewJob]) -> Attributes:
    """Return what the jobs of one call have in common: the operation, and their queue and task if there is one."""
    attributes: Attributes = {**SYSTEM, **SEND}
    for name, values in ((DESTINATION, {job.queue for job in jobs}), (TASK, {job.task for job in jobs})):
        if len(values) == 1:
            attributes[name] = values.pop()
    return attributes


def of_run(lease: Lease) -> Attributes:
    """Return what the runs of jobs of one task have in common."""
    return {**SYSTEM, **PROCESS, DESTINATION: lease.queue, TASK: lease.task}


def error_type(error: BaseException) -> str:
    """Return the full name of the type of an exception."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
