"""Leases jobs to workers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from aioq.model.job import Claim, ClaimRequest
from aioq.model.suspects import SUSPECT_AFTER, Room, plan_claim
from aioq_sqlite.database import Role
from aioq_sqlite.jobs import READY_ORDER, lease_of
from aioq_sqlite.transaction import Transaction

__all__ = ["ClaimRole", "claim", "going_queues", "has_work", "next_due"]

# Jobs of a stopped task keep their places, so that a restore has nothing to do.
GOING = "NOT EXISTS (SELECT 1 FROM stops WHERE stops.queue = :queue AND stops.task = {}.task)"
DUE = "FROM jobs WHERE queue = :queue AND state = 'pending' AND crashes = 0"
READY = f"SELECT number {DUE} ORDER BY {READY_ORDER} LIMIT :limit"
READY_BESIDE_STOPS = (
    f"WITH RECURSIVE waiting (task) AS (SELECT MIN(task) {DUE}"
    f" UNION ALL SELECT (SELECT MIN(task) {DUE} AND task > waiting.task) FROM waiting WHERE task IS NOT NULL)"
    f" SELECT number FROM waiting CROSS JOIN jobs WHERE {GOING.format('waiting')}"
    f" AND number IN (SELECT number {DUE} AND task = waiting.task ORDER BY {READY_ORDER} LIMIT :limit)"
    f" ORDER BY {READY_ORDER} LIMIT :limit"
)
"""Goes from task to task by an index, and so passes over a million jobs of a stopped task at once."""

CRASHED = f"FROM jobs WHERE queue = :queue AND state = 'pending' AND crashes > 0 AND {GOING.format('jobs')}"

SUSPECTS_ORDER = "started_at DESC, id"
OBSERVED_ORDER = "run_at + ran, id"
"""Of jobs that crashed together those go first that had run for the shortest time."""

TAKE = (
    "UPDATE jobs SET state = 'running', epoch = epoch + 1, attempt = attempt + 1, ran = 0, worker_id = ?,"
    " request_id = ?, started_at = ?, deadline = ?, alone = ?, turn = ? WHERE number = ?"
)


class ClaimRole(Role):
    """Implements `aioq.protocols.Broker.claim`."""

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; see `aioq.protocols.Broker.claim`."""
        return await self._transact(lambda transaction: claim(transaction, request))


def claim(transaction: Transaction, request: ClaimRequest) -> Claim:
    """Lease jobs, unless this request was answered before; return the leases of the request that are held."""
    mine = (request.worker_id, request.request_id)
    alone_for = transaction.value("SELECT alone_for FROM claims WHERE worker_id = ? AND request_id = ?", *mine)
    going = replace(request, queues=going_queues(transaction, request.queues))
    if alone_for is None:
        alone_for = _take(transaction, going)
        # Also if nothing was taken: the request may arrive a second time, after the inquiry with a limit of 0.
        transaction.execute("INSERT INTO claims VALUES (?, ?, ?, ?)", (*mine, transaction.now, alone_for))
    held = "SELECT * FROM jobs WHERE worker_id = ? AND request_id = ? AND state = 'running' ORDER BY turn"
    leases = [lease_of(row) for row in transaction.execute(held, mine)]
    paused = tuple(queue for queue in request.queues if queue not in going.queues)
    return Claim(leases=leases, next_due=next_due(transaction, going.queues), alone_for=alone_for, paused=paused)


def going_queues(transaction: Transaction, queues: Sequence[str]) -> tuple[str, ...]:
    """Return the queues that are not paused."""
    pause = "SELECT 1 FROM stops WHERE queue = ? AND task = ''"
    return tuple(queue for queue in queues if not transaction.value(pause, queue))


def has_work(transaction: Transaction, request: ClaimRequest) -> bool:
    """Return whether a claim would bring a job. A suspect is work only for an idle worker."""
    observed = f"crashes < {SUSPECT_AFTER}" if request.observes else "FALSE"
    suspects = "FALSE" if request.running else f"crashes >= {SUSPECT_AFTER}"
    crashed = f"SELECT number {CRASHED} AND ({observed} OR {suspects}) LIMIT :limit"
    return any(
        transaction.execute(query, {"queue": queue, "limit": 1}).fetchone()
        for queue in going_queues(transaction, request.queues)
        for query in (_ready(transaction, queue), crashed)
    )


def next_due(transaction: Transaction, queues: Sequence[str]) -> float | None:
    """Return in how many seconds the next job of the queues comes due; None without one."""
    earliest = "SELECT MIN(run_at) FROM jobs WHERE queue = ? AND state = ?"
    due = [transaction.value(earliest, queue, state) for queue in queues for state in ("scheduled", "retrying")]
    return min((moment - transaction.now for moment in due if moment is not None), default=None)


def _take(transaction: Transaction, request: ClaimRequest) -> float:
    """Lease jobs, and return for how long the worker has to be alone."""
    left = request.limit
    for queue in request.queues:
        empty = not request.running and left == request.limit
        crashed, alone_for = _take_crashed(transaction, queue, request, empty=empty, left=left) if left else (0, 0.0)
        if alone_for:
            return alone_for
        left -= crashed
        left -= _lease(transaction, request, _ready(transaction, queue), queue, left)
    return 0.0


def _ready(transaction: Transaction, queue: str) -> str:
    """Return the query for due jobs of a queue that have not crashed."""
    stopped = transaction.value("SELECT 1 FROM stops WHERE queue = ? AND task <> '' LIMIT 1", queue)
    return READY_BESIDE_STOPS if stopped else READY


def _take_crashed(
    transaction: Transaction, queue: str, request: ClaimRequest, *, empty: bool, left: int
) -> tuple[int, float]:
    """Lease jobs of a queue that have crashed; return how many, and for how long the worker has to be alone."""
    count = f"SELECT COUNT(*), COUNT(*) FILTER (WHERE crashes >= {SUSPECT_AFTER}) {CRASHED}"
    total, suspects = transaction.execute(count, {"queue": queue}).fetchone()
    if not total:
        return 0, 0.0
    stored = transaction.value("SELECT room FROM queues WHERE name = ?", queue)
    plan = plan_claim(
        msgspec.json.decode(stored, type=Room) if stored else None,
        worker_id=request.worker_id,
        empty=empty,
        observes=request.observes,
        suspects=suspects,
        observed=total - suspects,
        lease=request.lease,
        now=transaction.now,
    )
    room = msgspec.json.encode(plan.room) if plan.room else None
    transaction.execute("UPDATE queues SET room = ? WHERE name = ?", (room, queue))
    if plan.suspect:
        which = f"SELECT number {CRASHED} AND crashes >= {SUSPECT_AFTER} ORDER BY {SUSPECTS_ORDER} LIMIT :limit"
        _lease(transaction, request, which, queue, 1, alone=True)
        probation = "SELECT probation FROM jobs WHERE worker_id = ? AND request_id = ? AND state = 'running'"
        return 1, transaction.value(probation, request.worker_id, request.request_id)
    which = f"SELECT number {CRASHED} AND crashes < {SUSPECT_AFTER} ORDER BY {OBSERVED_ORDER} LIMIT :limit"
    taken = _lease(transaction, request, which, queue, min(plan.observed, left))
    if taken:
        transaction.signal("work", queue)  # another worker can take the next part
    return taken, plan.alone_for


def _lease(
    transaction: Transaction, request: ClaimRequest, which: str, queue: str, limit: int, *, alone: bool = False
) -> int:
    """Lease up to `limit` jobs to a worker under this request; return their number."""
    numbers = [number for (number,) in transaction.execute(which, {"queue": queue, "limit": limit})]
    # The only job of a worker with one slot runs alone, too.
    alone = alone or (not request.running and request.limit == 1)
    lease = (request.worker_id, request.request_id, transaction.now, transaction.now + request.lease, alone)
    transaction.executemany(TAKE, [(*lease, transaction.turn(), number) for number in numbers])
    return len(numbers)
