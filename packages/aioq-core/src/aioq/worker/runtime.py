"""Defines what the parts of one worker share: its app, its id and queues, its slots and leases, its clock."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from aioq.app import Aarq
from aioq.clock import Clock
from aioq.model.ids import check_name
from aioq.model.queue_weights import check_weights
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.shutdown import Shutdown
from aioq.worker.workload import LeaseTable, Slots

__all__ = ["Runtime", "default_id", "select_queues", "select_weights"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Built once by the worker, and given to each of its parts."""

    app: Aarq
    worker_id: str
    queues: tuple[str, ...]
    """The queues that the worker consumes, in order of preference."""
    weights: Mapping[str, int]
    """Their weights; empty if they go in order of preference."""
    lease: float
    """Seconds for which jobs are leased."""
    slots: Slots
    leases: LeaseTable
    retry: BrokerRetry
    shutdown: Shutdown
    clock: Clock


def default_id() -> str:
    """Return an id that no other worker has, made of the host, the process id and a random part."""
    # A restarted container often has the same host name and process id, while the leases of its predecessor are still
    # held: the random part keeps the two apart.
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()[:40])
    return f"{host}-{os.getpid()}-{os.urandom(3).hex()}"


def select_queues(app: Aarq, queues: Iterable[str] | None) -> tuple[str, ...]:
    """Return the queues that a worker of an app consumes: those that are named, or all of the app's when None.

    Raises:
        TypeError, ValueError: `queues` is a text, or empty, or a name in it is not valid.
    """
    if isinstance(queues, str):
        raise TypeError(f"queues must be several names, got the text {queues!r}; write queues=[{queues!r}]")
    chosen = tuple(dict.fromkeys(check_name("queue", queue) for queue in queues)) if queues is not None else app.queues
    if not chosen:
        raise ValueError("queues must name at least one queue")
    return chosen


def select_weights(queues: Iterable[str] | Mapping[str, int] | None) -> dict[str, int]:
    """Return the weights that the queues of a worker were given; empty if they have none.

    Raises:
        TypeError, ValueError: The name of a queue, or its weight, is not valid.
    """
    return check_weights(cast("Mapping[str, int]", queues)) if isinstance(queues, Mapping) else {}
