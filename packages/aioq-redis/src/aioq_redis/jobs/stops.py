"""Stores what a person has stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from aioq.errors import PartlyUnavailable
from aioq.model.ids import new_id
from aioq.model.stops import Stop, TooManyStops, check_stop
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import in_parts
from aioq_redis.storage.keys import is_queue_name

__all__ = ["TOKEN_TTL", "QueueControlRole"]

TOKEN_TTL: Final = 86_400.0
"""Seconds after which the tokens of a resume expire: no worker that claimed before it is about to wait by then."""


TOO_MANY: Final = -1
"""The answer of the script if too many tasks of a queue are stopped."""

TASK: Final = "task:"
"""What the field of a stopped task begins with."""

MAX_DIGITS: Final = 15
"""Digits of a stored moment, in milliseconds."""


class OrderText(Struct, frozen=True):
    """The note of an order, and its author."""

    note: str
    by: str


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(OrderText).decode


class QueueControlRole(BrokerRole):
    """Implements `aioq.protocols.QueueControl`."""

    async def pause_queue(self, queue: str, *, note: str, by: str) -> bool:
        """Pause a queue; see `aioq.protocols.QueueControl.pause_queue`."""
        check_stop(Stop(queue=queue, note=note, by=by, since=0.0))
        # The name first: if this process dies in between, `list_stops` finds nothing under it.
        await self._database.command("SADD", self._layout.fleet.key("stopped_queues"), queue)
        args = (new_id(), _encode(OrderText(note, by)))
        return bool(await self._database.call("pause_queue", self._layout.queue(queue), args))

    async def resume_queue(self, queue: str) -> bool:
        """Resume a queue; see `aioq.protocols.QueueControl.resume_queue`."""
        args = (new_id(), milliseconds(TOKEN_TTL))
        return bool(await self._database.call("resume_queue", self._layout.queue(queue), args))

    async def stop_task(self, task: str, *, queue: str, note: str, by: str) -> bool:
        """Stop a task; see `aioq.protocols.QueueControl.stop_task`."""
        check_stop(Stop(queue=queue, task=task, note=note, by=by, since=0.0))
        await self._database.command("SADD", self._layout.fleet.key("stopped_queues"), queue)
        args = (new_id(), task, _encode(OrderText(note, by)))
        answer = await self._database.call("stop_task", self._layout.queue(queue), args)
        if answer == TOO_MANY:
            raise TooManyStops(queue)
        return bool(answer)

    async def restore_task(self, task: str, *, queue: str) -> bool:
        """Restore a task; see `aioq.protocols.QueueControl.restore_task`."""
        return bool(await self._database.call("restore_task", self._layout.queue(queue), (new_id(), task)))

    async def list_stops(self) -> list[Stop]:
        """Return the orders that are in force; see `aioq.protocols.QueueControl.list_stops`."""
        names = await self._database.command("SMEMBERS", self._layout.fleet.key("stopped_queues"))
        queues = sorted(name.decode() for name in names if is_queue_name(name))
        calls = {
            queue: self._database.command("HGETALL", self._layout.queue(queue).key("stops"), patient=False)
            for queue in queues
        }
        found, away = await in_parts(calls, may_all_fail=True)
        stops = [stop for queue in queues if queue in found for stop in _read_stops(queue, found[queue])]
        if away:
            raise PartlyUnavailable(away, stops)
        return stops


def _read_stops(queue: str, fields: Sequence[Any]) -> list[Stop]:
    """Return the orders of a queue from the fields and values of its hash `stops`."""
    stops: list[Stop] = []
    for field, value in sorted(zip(fields[::2], fields[1::2], strict=True)):
        name = field.decode("utf-8", "replace")
        if name == "queue":
            stops.append(_read_stop(queue, None, value))
        elif name.startswith(TASK):
            stops.append(_read_stop(queue, name.removeprefix(TASK), value.partition(b" ")[2]))
    return stops


def _read_stop(queue: str, task: str | None, value: bytes) -> Stop:
    since, _, text = value.partition(b" ")
    # A queue with a damaged order is paused all the same, and can be resumed.
    try:
        order = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        order = OrderText(note="the stored note is damaged", by="")
    since_ms = int(since) if since.isdigit() and len(since) <= MAX_DIGITS else 0
    return Stop(queue=queue, task=task, note=order.note, by=order.by, since=since_ms / 1000)
