"""Records what persons have changed."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import Final

import msgspec

from aioq.model.changes import MAX_CHANGES, Change, check_change
from aioq.model.ids import new_id
from aioq_redis.role import BrokerRole

__all__ = ["ChangeLogRole"]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Change).decode


class ChangeLogRole(BrokerRole):
    """Implements `aioq.protocols.ChangeLog`."""

    async def note_change(self, change: Change) -> None:
        """Record a change; see `aioq.protocols.ChangeLog.note_change`."""
        check_change(change)
        # With an id, so that a repetition after a lost answer is recognized.
        text = f"{new_id()} ".encode() + _encode(change)
        await self._database.call("note_change", self._layout.fleet, (text, MAX_CHANGES))

    async def list_changes(self, *, limit: int = 100, subject: str | None = None) -> list[Change]:
        """Return the latest changes; see `aioq.protocols.ChangeLog.list_changes`."""
        last = MAX_CHANGES - 1 if subject is not None else limit - 1
        if limit <= 0:
            return []
        changes: list[Change] = []
        for text in await self._database.command("LRANGE", self._layout.fleet.key("changes"), 0, last):
            # A later release may describe a change in another way, and one damaged text must not hide the others.
            with suppress(msgspec.DecodeError, RecursionError):
                changes.append(_decode(text.partition(b" ")[2]))
        return list(islice((change for change in changes if subject in (None, change.subject)), limit))
