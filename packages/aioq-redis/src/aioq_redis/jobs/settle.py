"""Extends leases, and writes how attempts ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from msgspec import structs

from aioq.errors import BrokerConfigError, BrokerFull, BrokerUnavailable, PartlyUnavailable
from aioq.model.ids import new_id
from aioq.model.job import (
    Completed,
    Dead,
    Expired,
    Failed,
    Failure,
    HandedBack,
    Lease,
    Released,
    Retried,
    Settled,
    Settlement,
)
from aioq.serialization.failure import one_line
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.jobs.dropped_results import DroppedResults
from aioq_redis.role import BrokerRole
from aioq_redis.storage.attempt_format import encode_failure
from aioq_redis.storage.database import Database, group_by, in_parts, ungroup
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention
from aioq_redis.storage.scripts import load

__all__ = ["SettleRole", "encode_settlements"]

_ANSWERS: Final = {ord("d"): Settled.DONE, ord("a"): Settled.ALREADY, ord("s"): Settled.STALE}

FULL_MESSAGE: Final = 200
"""Characters of an error message that are stored while the server is full."""

_owner_of_lease = attrgetter("queue", "worker_id")
_owner_of_settlement = attrgetter("lease.queue", "lease.worker_id")

Owner: TypeAlias = tuple[str, str]
"""A queue, and the worker that holds leases of it: one run of a script is about one of both."""


class SettleTarget(NamedTuple):
    """Where the settlements of one worker in one queue go."""

    keys: Sequence[str]
    channel: str
    """The channel on which ends are published, without the job id."""
    find_mistyped: Callable[[], Awaitable[str]]


class SettleRole(BrokerRole):
    """Implements `extend` and `settle` of `aioq.protocols.Broker`."""

    def __init__(self, database: Database, layout: Layout, retention: Retention) -> None:
        super().__init__(database, layout, retention)
        self._settle_script = load("settle")
        self._dead_ttl = milliseconds(retention.dead_ttl)
        self._settle_targets: dict[Owner, SettleTarget] = {}
        # The report whose answer was not heard.
        self._unheard_reports: dict[Owner, str] = {}
        self._dropped = DroppedResults(database.name)

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.Broker.extend`."""
        errors: list[BrokerConfigError] = []

        async def extend(owner: Owner, own: list[Lease]) -> list[Lease]:
            queue, worker_id = owner
            args: list[object] = [milliseconds(seconds), worker_id]
            for lease in own:
                args += (lease.job_id, _fence(lease), lease.priority)
            try:
                lost = await self._database.call("extend", self._layout.queue(queue), args, patient=False)
            except BrokerConfigError as error:  # foreign data in one queue must not stop the others
                errors.append(error)
                return []
            return [own[n] for n in lost]

        owners = group_by(leases, _owner_of_lease)
        answers, away = await in_parts({owner: extend(owner, own) for owner, own in owners.items()})
        lost = [lease for own in answers.values() for lease in own]
        # Lost leases come before errors: their jobs must be cancelled here now. The error returns with the next call.
        if errors and not lost:
            raise errors[0]
        if away:
            raise PartlyUnavailable(_by_queue(away), lost)
        return lost

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write how attempts ended; see `aioq.protocols.Broker.settle`."""
        owners = {(settlement.lease.queue, settlement.lease.worker_id) for settlement in settlements}
        if len(owners) != 1:
            return await self._settle_in_parts(settlements)
        (owner,) = owners
        answers = await self._settle(owner, settlements)
        self._unheard_reports.pop(owner, None)
        return answers

    async def _settle_in_parts(self, settlements: Sequence[Settlement]) -> list[Settled]:
        groups = group_by(settlements, _owner_of_settlement)
        answers, away = await in_parts({owner: self._settle(owner, own) for owner, own in groups.items()})
        # Only now: if a queue rejects its settlements, the caller reports again to all of them.
        for owner in answers:
            self._unheard_reports.pop(owner, None)
        if away:
            given: dict[Owner, Sequence[Settled | None]] = {**answers}
            given |= {owner: [None] * len(groups[owner]) for owner in away}
            raise PartlyUnavailable(_by_queue(away), ungroup(settlements, given, _owner_of_settlement))
        return ungroup(settlements, answers, _owner_of_settlement)

    async def _settle(self, owner: Owner, settlements: Sequence[Settlement]) -> list[Settled]:
        # A caller that gets no answer reports again, perhaps with more settlements. All its tries are one report,
        # so the script answers "already" to what an earlier try has settled, not "stale".
        report, request = self._unheard_reports.get(owner), new_id()
        if report is None:
            report = self._unheard_reports[owner] = request
        encode = partial(encode_settlements, settlements)
        letters, full = await self._run_settle(owner, f"{report}.{request}", encode)
        if full:
            self._dropped.count(settlements)
        return [_ANSWERS[letter] for letter in letters]

    async def _run_settle(
        self, owner: Owner, request: str, encode: Callable[[bool], Sequence[object]]
    ) -> tuple[bytes, bool]:
        """Run `lua/jobs/settle.lua`; return a letter for each settlement, and whether the server is full.

        Args:
            owner: The queue, and the worker that holds the leases.
            request: `<report>.<try>`. Both are random: a process that was forked would repeat a count.
            encode: Returns the settlements as the script takes them; with True without what a full server cannot store.
        """
        if not self._database.is_full:
            self._dropped.note_room()
            try:
                return await self._send_settle(owner, request, encode(False), ""), False
            except BrokerFull:
                # The script has done nothing. The server takes the same settlements without their results.
                pass
        return await self._send_settle(owner, request, encode(True), "full"), True

    async def _send_settle(self, owner: Owner, request: str, args: Sequence[object], mode: str) -> bytes:
        target = self._settle_target(owner)
        head = (request, target.channel, self._dead_ttl, self._retention.dead_limit, owner[1], mode)
        answer: bytes = await self._database.run_script(
            self._settle_script, target.keys, (*head, *args), target.find_mistyped, patient=False
        )
        return answer

    def _settle_target(self, owner: Owner) -> SettleTarget:
        if (known := self._settle_targets.get(owner)) is not None:
            return known
        space = self._layout.queue(owner[0])
        # A memo of its own: the reports of two workers of this process must not replace each other's.
        keys = space.pick(self._settle_script.keys, new_id())
        target = SettleTarget(keys, space.key("end:"), partial(self._database.find_mistyped, space, keys))
        self._settle_targets[owner] = target
        return target


def _by_queue(away: Mapping[Owner, BrokerUnavailable]) -> dict[str, BrokerUnavailable]:
    return {queue: error for (queue, _), error in away.items()}


def encode_settlements(settlements: Sequence[Settlement], full: bool) -> list[object]:
    """Return settlements as `lua/jobs/settle.lua` takes them; for a full server without what it cannot store."""
    args: list[object] = []
    for settlement in settlements:
        args += _encode_reduced(settlement) if full else _encode_settlement(settlement)
    return args


def _encode_reduced(settlement: Settlement) -> list[object]:
    """Return one settlement without its result, or with a shortened failure."""
    if isinstance(settlement, Completed):
        if settlement.retain_for <= 0:
            return _encode_settlement(settlement)
        lease = settlement.lease
        return [lease.job_id, _fence(lease), "m", milliseconds(settlement.retain_for)]
    failure = None if isinstance(settlement, Released) else settlement.failure
    if failure is None:
        return _encode_settlement(settlement)
    short = Failure(failure.type, one_line(failure.message, FULL_MESSAGE), place=failure.place)
    return _encode_settlement(structs.replace(settlement, failure=short))


def _encode_settlement(settlement: Settlement) -> list[object]:
    """Return one settlement as `lua/jobs/settle.lua` takes it."""
    lease = settlement.lease
    head = [lease.job_id, _fence(lease)]
    match settlement:
        case Completed():
            return [*head, *_encode_completed(settlement)]
        case Failed(failure=failure, retain_for=retain_for):
            return [*head, "f", milliseconds(retain_for), encode_failure(failure)]
        case Retried(delay=delay, failure=failure):
            return [*head, "r", lease.priority, milliseconds(delay), encode_failure(failure)]
        case Released(delay=delay, started=started):
            return [*head, "l", lease.priority, milliseconds(delay), int(started)]
        case HandedBack(delay=delay, failure=failure):
            return [*head, "h", lease.priority, milliseconds(delay), encode_failure(failure)]
        case Dead(reason=reason, failure=failure):
            return [*head, "b", one_line(reason, 200), encode_failure(failure)]
        case Expired(failure=failure):
            return [*head, "e", encode_failure(failure)]


def _encode_completed(settlement: Completed) -> list[object]:
    if settlement.retain_for <= 0:
        return ["c"]
    retain_for = milliseconds(settlement.retain_for)
    return ["n", retain_for] if settlement.result is None else ["k", retain_for, settlement.result]


def _fence(lease: Lease) -> str:
    """Return the fencing token of a lease: scripts reject a write with another one, or by another worker.

    The epoch alone would not do: it starts anew when the id of an ended job is used again.
    """
    return f"{lease.epoch} {round(lease.enqueued_at * 1000)}"
