"""Extends leases, writes how attempts ended, and reaps expired leases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Final, NamedTuple

import msgspec

from aioq.errors import BrokerConfigError
from aioq.model.ids import new_id
from aioq.model.job import (
    Completed,
    Dead,
    Expired,
    Failed,
    Failure,
    Lease,
    Reaped,
    Released,
    Retried,
    Settled,
    Settlement,
)
from aioq.model.states import JobState
from aioq.serialization.failure import one_line
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.role import BrokerRole, gather_by_queue
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention
from aioq_redis.storage.scripts import load

__all__ = ["SettleRole"]

_ANSWERS: Final = {ord("d"): Settled.DONE, ord("a"): Settled.ALREADY, ord("s"): Settled.STALE}

_encode = msgspec.json.Encoder().encode
_queue_of_settlement = attrgetter("lease.queue")


class SettleTarget(NamedTuple):
    """Where the settlements of one queue go."""

    keys: Sequence[str]
    channel: str
    """The channel on which ends are published, without the job id."""
    find_mistyped: Callable[[], Awaitable[str]]


class SettleRole(BrokerRole):
    """Implements `extend`, `settle` and `reap` of `aioq.protocols.Broker`."""

    def __init__(self, database: Database, layout: Layout, retention: Retention) -> None:
        super().__init__(database, layout, retention)
        self._settle_script = load("settle")
        self._settle_client = new_id()
        self._dead_ttl = milliseconds(retention.dead_ttl)
        self._settle_targets: dict[str, SettleTarget] = {}
        # By queue: the report whose answer was not heard.
        self._unheard_reports: dict[str, str] = {}

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.Broker.extend`."""
        errors: list[BrokerConfigError] = []

        async def extend(queue: str, own: list[Lease]) -> list[bool]:
            args: list[object] = [milliseconds(seconds)]
            for lease in own:
                args += (lease.job_id, _fence(lease), lease.priority)
            try:
                lost = await self._database.call("extend", self._layout.queue(queue), args)
            except BrokerConfigError as error:  # foreign data in one queue must not stop the others
                errors.append(error)
                return [False] * len(own)
            return [n in lost for n in range(len(own))]

        is_lost = await gather_by_queue(leases, extend)
        lost = [lease for lease, gone in zip(leases, is_lost, strict=True) if gone]
        # Lost leases come before errors: their jobs must be cancelled here now. The error returns with the next call.
        if errors and not lost:
            raise errors[0]
        return lost

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write how attempts ended; see `aioq.protocols.Broker.settle`."""
        queues = {settlement.lease.queue for settlement in settlements}
        if len(queues) == 1:
            answers = await self._settle(queues.pop(), settlements)
        else:
            answers = await gather_by_queue(settlements, self._settle, _queue_of_settlement)
        # Only now: if one queue fails, the caller reports again to all of them.
        for settlement in settlements:
            self._unheard_reports.pop(settlement.lease.queue, None)
        return answers

    async def _settle(self, queue: str, settlements: Sequence[Settlement]) -> list[Settled]:
        args: list[object] = []
        for settlement in settlements:
            args += _encode_settlement(settlement)
        # A caller that gets no answer reports again, perhaps with more settlements. All its tries are one report,
        # so the script answers "already" to what an earlier try has settled, not "stale".
        report, request = self._unheard_reports.get(queue), new_id()
        if report is None:
            report = self._unheard_reports[queue] = request
        return [_ANSWERS[letter] for letter in await self._run_settle(queue, f"{report}.{request}", args)]

    async def _run_settle(self, queue: str, request: str, args: Sequence[object]) -> bytes:
        """Run `lua/jobs/settle.lua`, and return its answer: a letter for each settlement.

        Args:
            queue: The queue.
            request: `<report>.<try>`. Both are random: a process that was forked would repeat a count.
            args: The settlements.
        """
        target = self._settle_target(queue)
        head = (request, target.channel, self._dead_ttl, self._retention.dead_limit)
        answer: bytes = await self._database.run_script(
            self._settle_script, target.keys, (*head, *args), target.find_mistyped
        )
        return answer

    def _settle_target(self, queue: str) -> SettleTarget:
        if (known := self._settle_targets.get(queue)) is not None:
            return known
        space = self._layout.queue(queue)
        keys = space.pick(self._settle_script.keys, self._settle_client)
        target = SettleTarget(keys, space.key("end:"), partial(self._database.find_mistyped, space, keys))
        self._settle_targets[queue] = target
        return target

    async def reap(self, queues: Sequence[str], *, limit: int = 100) -> list[Reaped]:
        """Take back expired leases; see `aioq.protocols.Broker.reap`."""
        reaped: list[Reaped] = []
        errors: list[BrokerConfigError] = []
        for queue in queues:
            try:
                reaped += await self._reap(queue, limit - len(reaped)) if len(reaped) < limit else ()
            except BrokerConfigError as error:  # foreign data in one queue must not stop the others
                errors.append(error)
        if errors and not reaped:
            raise errors[0]
        return reaped

    async def _reap(self, queue: str, limit: int) -> list[Reaped]:
        space = self._layout.queue(queue)
        args = (limit, space.key("end:"), self._dead_ttl, self._retention.dead_limit)
        found = await self._database.call("reap", space, args)
        return [_reaped(queue, *found[at : at + 3]) for at in range(0, len(found), 3)]


def _encode_settlement(settlement: Settlement) -> list[object]:
    """Return one settlement as `lua/jobs/settle.lua` takes it."""
    lease = settlement.lease
    head = [lease.job_id, _fence(lease)]
    match settlement:
        case Completed():
            return [*head, *_encode_completed(settlement)]
        case Failed(failure=failure, retain_for=retain_for):
            return [*head, "f", milliseconds(retain_for), _encode(failure)]
        case Retried(delay=delay, failure=failure):
            return [*head, "r", lease.priority, milliseconds(delay), _encode_failure(failure)]
        case Released(delay=delay):
            return [*head, "l", lease.priority, milliseconds(delay)]
        case Dead(reason=reason, failure=failure):
            return [*head, "b", one_line(reason, 200), _encode_failure(failure)]
        case Expired(failure=failure):
            return [*head, "e", _encode(failure)]


def _encode_completed(settlement: Completed) -> list[object]:
    if settlement.retain_for <= 0:
        return ["c"]
    retain_for = milliseconds(settlement.retain_for)
    return ["n", retain_for] if settlement.result is None else ["k", retain_for, settlement.result]


def _fence(lease: Lease) -> str:
    """Return the fencing token of a lease: scripts reject a worker with another one.

    The epoch alone would not do: it starts anew when the id of an ended job is used again.
    """
    return f"{lease.epoch} {round(lease.enqueued_at * 1000)}"


def _encode_failure(failure: Failure | None) -> bytes:
    return b"" if failure is None else _encode(failure)


def _reaped(queue: str, job_id: bytes, crashes: int, state: bytes) -> Reaped:
    return Reaped(
        job_id=job_id.decode("ascii", "backslashreplace"),
        queue=queue,
        crashes=crashes,
        state=JobState(state.decode()),
    )
