"""The entries of apps: registering them, saying that a worker of an app is up, pausing, looking.

What an app has is written with the keys of the fleet, what an entry is with those of its
queue, and no script reaches both. So every step may be repeated, and they come in an order
in which it does no harm when a process dies in between: a version is in force only when all
its entries are, and what holds an entry back is shown for as long as it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from aioq.model.cron import (
    CronChanges,
    CronCounts,
    CronDefinition,
    CronKey,
    CronStatus,
    Pause,
    Registration,
    TickRun,
)
from aioq.model.ids import check_name, new_id
from aioq_redis.client.client import gather_all
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.cron.ledger import REMEMBERED
from aioq_redis.cron.multi_get import Asked, Gathering
from aioq_redis.role import BrokerRole, group_by_queue
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention
from aioq_redis.storage.scripts import load
from aioq_redis.storage.tick_format import read_record

__all__ = ["CronRegistryRole"]

AT_ONCE: Final = 500
"""Entries in one script: others get their turn in between."""

MOST_KNOWN: Final = 20_000
"""Definitions that are remembered, of entries that were asked about one by one."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(CronDefinition).decode


class Said(Struct, frozen=True):
    """What a person says with a pause."""

    note: str
    by: str


_read_said: Final = msgspec.json.Decoder(Said).decode


class CronRegistryRole(BrokerRole):
    """Implements the methods of `aioq.protocols.TickLedger` about entries."""

    def __init__(self, database: Database, layout: Layout, retention: Retention) -> None:
        super().__init__(database, layout, retention)
        self._remember = milliseconds(REMEMBERED)
        self._known: dict[CronKey, tuple[tuple[bytes, bytes], CronDefinition]] = {}
        self._told = Gathering(database, "cron_status", self._ask_status, self._misfit)
        self._written = Gathering(database, "HMGET", self._ask_definition, self._misfit)

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Make `crons` the entries of an app; see `aioq.protocols.TickLedger.register_crons`."""
        after = {cron.key: cron for cron in crons}
        before = await self._registered(app)
        live = {key: cron for key, (retired, cron) in before.items() if not retired}
        args: list[object] = [app, version, self._remember, milliseconds(ttl)]
        for key, cron in after.items():
            args += (_field(key), _encode(cron))
        number, retired = await self._database.call("register_app", self._layout.fleet, args, own=_name(app))
        plans = {_key(field): "" for field in retired}
        plans |= {key: ("+" if cron.enabled else "-") + cron.fingerprint for key, cron in after.items()}
        mine = await self._apply(app, number, plans)
        for cron in crons:
            self._remember_definition(cron, app.encode(), number)
        opening = (number, version, milliseconds(ttl))
        await self._database.call("open_version", self._layout.fleet, opening, own=_name(app))
        return CronChanges(
            added=sorted(after.keys() - live.keys()),
            changed=sorted(k for k in after.keys() & live.keys() if after[k].fingerprint != live[k].fingerprint),
            removed=sorted(key for key in live.keys() - after.keys() if mine.get(key)),
        )

    async def renew_registration(self, app: str, version: str, *, ttl: float) -> Registration:
        """Say that a worker is up; see `aioq.protocols.TickLedger.renew_registration`."""
        args = (app, version, milliseconds(ttl), self._remember)
        registered, now, paused = await self._database.call(
            "renew_registration", self._layout.fleet, args, own=_name(app)
        )
        return Registration(version=registered.decode(), now=int(now) / 1000, paused=sorted(map(_key, paused)))

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Have an entry fire no more; see `aioq.protocols.TickLedger.pause_cron`."""
        args = (new_id(), _encode(Said(note, by)), self._remember)
        fresh = await self._database.call("pause_cron", self._layout.queue(cron.queue), args, own=_name(cron.name))
        await self._database.call("announce_pause", self._layout.fleet, (_field(cron), self._remember))
        return bool(fresh)

    async def resume_cron(self, cron: CronKey) -> bool:
        """Have an entry fire again; see `aioq.protocols.TickLedger.resume_cron`."""
        await self._database.command("HDEL", self._layout.fleet.key("pauses"), _field(cron))
        args = (new_id(), self._remember)
        space = self._layout.queue(cron.queue)
        return bool(await self._database.call("resume_cron", space, args, own=_name(cron.name)))

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Return what is known of entries; see `aioq.protocols.TickLedger.cron_statuses`."""
        found = await gather_all(self._of_app(name) for name in await self._apps(app))
        return sorted(
            (status for statuses in found for status in statuses),
            key=lambda status: (status.definition.queue, status.definition.name),
        )

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return what is known of one entry; see `aioq.protocols.TickLedger.cron_status`."""
        told = await self._told.ask(cron.queue, _name(cron.name))
        if not told[0]:
            return None
        definition = await self._definition(cron, *told[:2])
        return None if definition is None else _status(definition, *told)

    async def _definition(self, cron: CronKey, app: bytes, number: bytes) -> CronDefinition | None:
        """Return an entry's definition, which changes with the number of its registration."""
        known = self._known.get(cron)
        if known is not None and known[0] == (app, number):
            return known[1]
        value = await self._written.ask(app.decode(), _field(cron))
        if not value:
            return None
        definition = _decode(value.partition(b" ")[2])
        self._remember_definition(definition, app, number)
        return definition

    def _remember_definition(self, definition: CronDefinition, app: bytes, number: bytes) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[definition.key] = (app, number), definition

    def _ask_status(self, queue: str, names: Sequence[str]) -> Asked:
        script = load("cron_status")
        return script, self._layout.queue(queue).pick(script.keys, each=names), names

    def _ask_definition(self, app: str, fields: Sequence[str]) -> Asked:
        return None, (), ("HMGET", self._layout.fleet.key(f"crons:{app}"), *fields)

    async def _misfit(self, place: str, name: str) -> str:
        """Return what lies where an entry of a queue, or a definition of an app, should."""
        queue, fleet = self._layout.queue(place), self._layout.fleet
        if " " in name:
            return await self._database.find_mistyped(fleet, [fleet.key(f"crons:{place}")])
        return await self._database.find_mistyped(queue, queue.pick(load("cron_status").keys, each=[name]))

    async def _apps(self, app: str | None) -> list[str]:
        if app is not None:
            return [app]
        return [name.decode() for name in await self._database.command("ZRANGE", self._layout.fleet.key("apps"), 0, -1)]

    async def _registered(self, app: str) -> dict[CronKey, tuple[int, CronDefinition]]:
        """Return since when each entry of an app is retired (0 if it is not), and its definition."""
        found = await self._database.command("HGETALL", self._layout.fleet.key(f"crons:{_name(app)}"))
        entries: dict[CronKey, tuple[int, CronDefinition]] = {}
        for field, value in zip(found[::2], found[1::2], strict=True):
            if field:
                retired, _, definition = value.partition(b" ")
                entries[_key(field)] = int(retired), _decode(definition)
        return entries

    async def _apply(self, app: str, number: bytes, plans: Mapping[CronKey, str]) -> dict[CronKey, bool]:
        """Register entries in their queues; return for each whether it is the app's."""

        async def apply(queue: str, names: list[str]) -> list[tuple[CronKey, bool]]:
            keys = [CronKey(queue, name) for name in names]
            args = (number, app, self._remember, *(plans[key] for key in keys))
            mine = await self._database.call("register_crons", self._layout.queue(queue), args, each=names)
            return [(key, bool(own)) for key, own in zip(keys, mine, strict=True)]

        found = await gather_all(apply(queue, names) for queue, names in _chunks(plans))
        return dict(pair for part in found for pair in part)

    async def _of_app(self, app: str) -> list[CronStatus]:
        entries = await self._registered(app)

        async def look(queue: str, names: list[str]) -> list[CronStatus]:
            told = await self._database.call("cron_status", self._layout.queue(queue), names, each=names)
            keys = (CronKey(queue, name) for name in names)
            pairs = zip(keys, told, strict=True)
            # Of several apps that registered an entry it belongs to the latest.
            return [_status(entries[key][1], *parts) for key, parts in pairs if parts[0] == app.encode()]

        found = await gather_all(look(queue, names) for queue, names in _chunks(entries))
        return [status for statuses in found for status in statuses]


def _name(name: str) -> str:
    return check_name("name", name)


def _field(cron: CronKey) -> str:
    return f"{check_name('queue', cron.queue)} {_name(cron.name)}"


def _key(field: bytes) -> CronKey:
    queue, _, name = field.decode().partition(" ")
    return CronKey(queue, name)


def _chunks(keys: Iterable[CronKey]) -> list[tuple[str, list[str]]]:
    """Return queues with names of entries, so many at a time as one script takes."""
    return [
        (queue, [key.name for key in own[at : at + AT_ONCE]])
        for queue, own in group_by_queue(keys).items()
        for at in range(0, len(own), AT_ONCE)
    ]


def _status(definition: CronDefinition, *told: Any) -> CronStatus:
    """Return an entry's status; see `lua/cron/cron_status.lua`."""
    app, _, armed, retired, paused, last_tick, success, result, *counts, run, last = told
    fired, ok, failed, skipped, missed, coalesced = (int(count or 0) for count in counts)
    return CronStatus(
        definition=definition,
        app=app.decode(),
        armed_at=_seconds(armed) or 0.0,
        last_tick=_seconds(last_tick) if definition.unique else None,
        pause=_pause(paused),
        retired_at=_seconds(retired),
        last=read_record(definition.key, last) if last else None,
        last_success=_seconds(success),
        last_result=result,
        running=_run(definition.key, run),
        counts=CronCounts(fired=fired, ok=ok, failed=failed, skipped=skipped, missed=missed, coalesced=coalesced),
    )


def _seconds(text: bytes | None) -> float | None:
    return int(text) / 1000 if text else None


def _pause(text: bytes | None) -> Pause | None:
    if not text:
        return None
    at, _, said = text.split(b" ", 2)
    words = _read_said(said)
    return Pause(note=words.note, by=words.by, at=int(at) / 1000)


def _run(cron: CronKey, line: bytes) -> TickRun | None:
    if not line:
        return None
    tick, _, _, worker = line.decode().split(" ", 3)
    return TickRun(name=cron.name, queue=cron.queue, tick=int(tick) / 1000, worker_id=worker)
