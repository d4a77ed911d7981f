"""Taking jobs back from workers: extend, settle, reap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

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
from aioq_redis.client.client import gather_all
from aioq_redis.storage.database import Database
from aioq_redis.storage.job_format import fence
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention, milliseconds

__all__ = ["Settling", "extension"]

T = TypeVar("T")

_ANSWERS: Final = {ord("d"): Settled.DONE, ord("a"): Settled.ALREADY, ord("s"): Settled.STALE}

_encode = msgspec.json.Encoder().encode


class Settling:
    """What the broker does to take jobs back."""

    def __init__(self, server: Database, layout: Layout, keeping: Retention) -> None:
        self._server, self._layout, self._keeping = server, layout, keeping
        self._client = new_id()
        self._unheard: dict[str, str] = {}

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Lengthen leases and return the lost ones; see `aioq.protocols.Broker.extend`."""

        async def extend(queue: str, places: list[int]) -> list[bool]:
            args = extension([leases[n] for n in places], seconds)
            lost = set(await self._server.call("extend", self._layout.queue(queue), args))
            return [n in lost for n in range(len(places))]

        lost = await _by_queue([lease.queue for lease in leases], extend)
        return [lease for lease, gone in zip(leases, lost, strict=True) if gone]

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write how attempts ended; see `aioq.protocols.Broker.settle`."""

        async def settle(queue: str, places: list[int]) -> list[Settled]:
            args: list[object] = []
            for n in places:
                args += _arguments(settlements[n])
            # Whoever hears nothing of it reports again, perhaps with more: what is done by then is no late report.
            report = self._unheard.setdefault(queue, new_id())
            return [_ANSWERS[letter] for letter in await self.send(queue, args, report)]

        answers = await _by_queue([settlement.lease.queue for settlement in settlements], settle)
        for settlement in settlements:
            self._unheard.pop(settlement.lease.queue, None)
        return answers

    async def send(self, queue: str, args: Sequence[object], report: str = "") -> bytes:
        """Settle jobs of one queue as `lua/jobs/settle.lua` is told to; one letter answers each."""
        space = self._layout.queue(queue)
        head = (
            # By chance and not by count: a process that was forked must not repeat our requests.
            f"{report or new_id()}.{new_id()}",
            space.key("end:"),
            milliseconds(self._keeping.dead_ttl),
            self._keeping.dead_limit,
        )
        reply: bytes = await self._server.call("settle", space, (*head, *args), own=self._client)
        return reply

    async def reap(self, queues: Sequence[str], *, limit: int = 100) -> list[Reaped]:
        """Take back expired leases; see `aioq.protocols.Broker.reap`."""
        reaped: list[Reaped] = []
        refusals: list[BrokerConfigError] = []
        for queue in queues:
            try:
                reaped += await self._reap(queue, limit - len(reaped)) if len(reaped) < limit else ()
            except BrokerConfigError as refusal:  # of this queue; the others have nothing to do with it
                refusals.append(refusal)
        if refusals and not reaped:
            raise refusals[0]
        return reaped

    async def _reap(self, queue: str, limit: int) -> list[Reaped]:
        space = self._layout.queue(queue)
        args = (limit, space.key("end:"), milliseconds(self._keeping.dead_ttl), self._keeping.dead_limit)
        found = await self._server.call("reap", space, args)
        return [_reaped(queue, *found[at : at + 3]) for at in range(0, len(found), 3)]


def extension(leases: Sequence[Lease], seconds: float) -> list[object]:
    """Return leases of one queue as `lua/jobs/extend.lua` takes them."""
    args: list[object] = [milliseconds(seconds)]
    for lease in leases:
        args += (lease.job_id, _fence(lease), lease.priority)
    return args


async def _by_queue(queues: Sequence[str], work: Callable[[str, list[int]], Coroutine[Any, Any, list[T]]]) -> list[T]:
    """Do the work of each queue at the same time, and return all answers in the order of `queues`.

    `work` gets a queue and the places in `queues` that are its own.
    """
    places: defaultdict[str, list[int]] = defaultdict(list)
    for n, queue in enumerate(queues):
        places[queue].append(n)
    done = await gather_all(work(queue, own) for queue, own in places.items())
    answers: dict[int, T] = {}
    for own, part in zip(places.values(), done, strict=True):
        answers.update(zip(own, part, strict=True))
    return [answers[n] for n in range(len(queues))]


def _arguments(settlement: Settlement) -> list[object]:
    """Return one settlement as `lua/jobs/settle.lua` takes it."""
    lease = settlement.lease
    who = [lease.job_id, _fence(lease)]
    match settlement:
        case Completed():
            return [*who, *_completed(settlement)]
        case Failed(failure=failure, retain_for=keep):
            return [*who, "f", milliseconds(keep), _encode(failure)]
        case Retried(delay=delay, failure=failure):
            return [*who, "r", lease.priority, milliseconds(delay), _failure(failure)]
        case Released(delay=delay):
            return [*who, "l", lease.priority, milliseconds(delay)]
        case Dead(reason=reason, failure=failure):
            return [*who, "b", one_line(reason, 200), _failure(failure)]
        case Expired(failure=failure):
            return [*who, "e", _encode(failure)]


def _completed(settlement: Completed) -> list[object]:
    result, keep = settlement.result, milliseconds(settlement.retain_for)
    if settlement.retain_for <= 0:
        return ["c"]
    return ["n", keep] if result is None else ["k", keep, result]


def _fence(lease: Lease) -> str:
    return fence(lease.epoch, lease.enqueued_at)


def _failure(failure: Failure | None) -> bytes:
    return b"" if failure is None else _encode(failure)


def _reaped(queue: str, job_id: bytes, crashes: int, state: bytes) -> Reaped:
    return Reaped(
        job_id=job_id.decode("ascii", "backslashreplace"),
        queue=queue,
        crashes=crashes,
        state=JobState(state.decode()),
    )
