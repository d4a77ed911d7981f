"""Implements the registry of cron entries: registration, pauses, and their status.

The list of the entries of an app is in the keys of the fleet, and an entry in the keys of its queue. On
a cluster no script can write both, so that an operation is several scripts. Each step may be repeated,
and a process may die after any of them: the version of an app is opened only after all its entries were
registered, and `cron_statuses` shows a pause from its first step to its last.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from aioq.errors import BrokerUnavailable, PartlyUnavailable
from aioq.model.cron import (
    Attendance,
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
from aioq.model.schedules import ScheduleRecord
from aioq_redis.client.pipeline import milliseconds
from aioq_redis.cron.ledger import ENTRY_TTL
from aioq_redis.cron.multi_get import Lookup, MultiGet
from aioq_redis.role import BrokerRole
from aioq_redis.storage.database import Database, gather_all, group_by, in_parts, queue_of
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.retention import Retention
from aioq_redis.storage.schedule_format import read_line
from aioq_redis.storage.scripts import load
from aioq_redis.storage.tick_format import read_record

__all__ = ["CronRegistryRole", "read_entry", "read_key"]

MAX_ENTRIES_PER_SCRIPT: Final = 500
"""The server runs other commands between two scripts, and none during one."""

MAX_PRESENT: Final = 500
"""Workers of an app whose reports a renewal returns. Each of them asks every five seconds."""

MAX_DIGITS: Final = 15
"""Digits of a stored number: milliseconds, or a count."""

MAX_CACHED_DEFINITIONS: Final = 20_000
"""Definitions that `cron_status` caches, of all apps."""

R = TypeVar("R")

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(CronDefinition).decode


class PauseNote(Struct, frozen=True):
    """The note of a pause, and its author."""

    note: str
    by: str


_decode_note: Final = msgspec.json.Decoder(PauseNote).decode


class CronRegistryRole(BrokerRole):
    """Implements the methods of `aioq.protocols.TickLedger` about entries."""

    def __init__(self, database: Database, layout: Layout, retention: Retention) -> None:
        super().__init__(database, layout, retention)
        self._entry_ttl = milliseconds(ENTRY_TTL)
        self._definitions: dict[CronKey, tuple[tuple[bytes, bytes], CronDefinition]] = {}
        self._offered: dict[CronKey, CronDefinition] = {}
        """The definitions that this process has registered, or could not register."""
        self._statuses = MultiGet(database, "cron_status", self._look_up_statuses, layout.queue, self._find_mistyped)
        self._stored_definitions = MultiGet(
            database, "HMGET", self._look_up_definitions, lambda _: layout.fleet, self._find_mistyped
        )

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Make `crons` the entries of an app; see `aioq.protocols.TickLedger.register_crons`."""
        after = {cron.key: cron for cron in crons}
        self._offered |= after
        args: list[object] = [app, version, self._entry_ttl, milliseconds(ttl)]
        for key, cron in after.items():
            args += (_field(key), _encode(cron))
        # First the app announces all its entries, then its queues get them, and only then the version is open: a
        # process that dies in between leaves the old version in force.
        fleet = self._layout.fleet
        try:
            before = await self._registered(app, patient=False)
            number, retired = await self._database.call("register_app", fleet, args, own=_name(app), patient=False)
        except BrokerUnavailable as error:
            if not self._database.is_away(fleet.key("registrations")):
                raise
            away = {cron.queue: error for cron in crons}
            raise PartlyUnavailable(away, CronChanges(added=[], changed=[], removed=[])) from None
        live = {key: cron for key, (retired, cron) in before.items() if not retired}
        plans = dict.fromkeys(_keys(retired), "")
        plans |= {key: ("+" if cron.enabled else "-") + cron.fingerprint for key, cron in after.items()}
        mine, away = await self._apply(app, number, plans)
        for cron in crons:
            self._cache_definition(cron, app.encode(), number)
        changes = CronChanges(
            added=sorted(after.keys() - live.keys()),
            changed=sorted(k for k in after.keys() & live.keys() if after[k].fingerprint != live[k].fingerprint),
            removed=sorted(key for key in live.keys() - after.keys() if mine.get(key)),
        )
        if away:
            raise PartlyUnavailable(away, changes)
        opening = (number, version, milliseconds(ttl))
        await self._database.call("open_version", self._layout.fleet, opening, own=_name(app))
        return changes

    async def renew_registration(
        self, app: str, version: str, *, ttl: float, worker: Attendance | None = None
    ) -> Registration:
        """Report that a worker is up; see `aioq.protocols.TickLedger.renew_registration`."""
        report = () if worker is None else (_report(worker), milliseconds(worker.seconds))
        args = (app, version, milliseconds(ttl), self._entry_ttl, *(report or ("", 0)), MAX_PRESENT)
        registered, now, paused, present = await self._database.call(
            "renew_registration", self._layout.fleet, args, own=_name(app)
        )
        return Registration(
            version=registered.decode("utf-8", "replace"),
            now=int(now) / 1_000_000,
            paused=sorted(_keys(paused)),
            present=dict(map(_read_report, present)),
        )

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Pause an entry; see `aioq.protocols.TickLedger.pause_cron`."""
        args = (new_id(), _encode(PauseNote(note, by)), self._entry_ttl)
        fresh = await self._database.call("pause_cron", self._layout.queue(cron.queue), args, own=_name(cron.name))
        # The entry first: if this process dies in between, its status shows the pause, and a resume undoes it.
        await self._database.call("announce_pause", self._layout.fleet, (_field(cron), self._entry_ttl))
        return bool(fresh)

    async def resume_cron(self, cron: CronKey) -> bool:
        """Resume an entry; see `aioq.protocols.TickLedger.resume_cron`."""
        await self._database.command("HDEL", self._layout.fleet.key("pauses"), _field(cron))
        args = (new_id(), self._entry_ttl)
        space = self._layout.queue(cron.queue)
        return bool(await self._database.call("resume_cron", space, args, own=_name(cron.name)))

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Return the status of entries; see `aioq.protocols.TickLedger.cron_statuses`."""
        statuses, away = await (self._of_all_apps() if app is None else self._of_app(app))
        ordered = sorted(statuses, key=lambda status: (status.definition.queue, status.definition.name))
        if away:
            raise PartlyUnavailable(away, ordered)
        return ordered

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return the status of one entry; see `aioq.protocols.TickLedger.cron_status`."""
        *parts, line = await self._statuses.get(cron.queue, _name(cron.name))
        if line and (record := read_line(line)) is not None:
            return _status_of_stored(record, parts)
        if not parts[0]:
            return None
        definition = await self._definition(cron, *parts[:2])
        return None if definition is None else _status(definition, *parts)

    async def _definition(self, cron: CronKey, app: bytes, number: bytes) -> CronDefinition | None:
        """Return the definition of an entry, from the cache if `number` is that of the cached registration."""
        known = self._definitions.get(cron)
        # A worker asks before each job of a schedule; the definition changes with a deploy only.
        if known is not None and known[0] == (app, number):
            return known[1]
        try:
            value = await self._stored_definitions.get(app.decode("utf-8", "replace"), _field(cron))
        except BrokerUnavailable:
            # The entry can be reached, but not the list of the app's entries. It is that of this process, most likely.
            if cron in self._offered and self._database.is_away(self._layout.fleet.key("registrations")):
                return self._offered[cron]
            raise
        if not value:
            return None
        entry = read_entry(value)
        if entry is None:
            return None
        self._cache_definition(entry[1], app, number)
        return entry[1]

    def _cache_definition(self, definition: CronDefinition, app: bytes, number: bytes) -> None:
        if len(self._definitions) >= MAX_CACHED_DEFINITIONS:
            # All of them, because that is rare: a program has far fewer entries.
            self._definitions.clear()
        self._definitions[definition.key] = (app, number), definition

    def _look_up_statuses(self, queue: str, names: Sequence[str]) -> Lookup:
        script = load("cron_status")
        return script, self._layout.queue(queue).pick(script.keys, each=names), names

    def _look_up_definitions(self, app: str, fields: Sequence[str]) -> Lookup:
        return None, (), ("HMGET", self._layout.fleet.key(f"crons:{app}"), *fields)

    async def _find_mistyped(self, group: str, name: str) -> str:
        """Return a text about a key with the wrong type: that of an entry of a queue, or of the entries of an app."""
        if " " in name:
            fleet = self._layout.fleet
            return await self._database.find_mistyped(fleet, [fleet.key(f"crons:{group}")])
        queue = self._layout.queue(group)
        return await self._database.find_mistyped(queue, queue.pick(load("cron_status").keys, each=[name]))

    async def _registered(self, app: str, *, patient: bool = True) -> dict[CronKey, tuple[int, CronDefinition]]:
        """Return when each entry of an app was retired (0 if it is not), and its definition."""
        found = await self._database.command("HGETALL", self._layout.fleet.key(f"crons:{_name(app)}"), patient=patient)
        entries: dict[CronKey, tuple[int, CronDefinition]] = {}
        for field, value in zip(found[::2], found[1::2], strict=True):
            # One damaged entry must not hide the others; `aioq doctor` names it.
            for key in _keys([field]):
                entry = read_entry(value)
                if entry is not None and entry[1].key == key:
                    entries[key] = entry
        return entries

    async def _apply(
        self, app: str, number: bytes, plans: Mapping[CronKey, str]
    ) -> tuple[dict[CronKey, bool], dict[str, BrokerUnavailable]]:
        """Register entries in their queues; return for each whether it belongs to the app, and what is away."""

        async def apply(queue: str, names: Sequence[str]) -> list[tuple[CronKey, bool]]:
            keys = [CronKey(queue, name) for name in names]
            args = (number, app, self._entry_ttl, *(plans[key] for key in keys))
            space = self._layout.queue(queue)
            mine = await self._database.call("register_crons", space, args, each=names, patient=False)
            return [(key, bool(own)) for key, own in zip(keys, mine, strict=True)]

        found, away = await _in_chunks(plans, apply)
        return dict(found), away

    async def _of_all_apps(self) -> tuple[list[CronStatus], dict[str, BrokerUnavailable]]:
        apps = await self._database.command("ZRANGE", self._layout.fleet.key("apps"), 0, -1)
        found = await gather_all(self._of_app(app.decode()) for app in apps if is_app_name(app))
        away = {queue: error for _, errors in found for queue, error in errors.items()}
        return [status for statuses, _ in found for status in statuses], away

    async def _of_app(self, app: str) -> tuple[list[CronStatus], dict[str, BrokerUnavailable]]:
        """Return the statuses that can be read, and what is wrong with the queues of the others."""
        entries = await self._registered(app)
        if not entries:
            return [], {}

        async def read(queue: str, names: Sequence[str]) -> list[CronStatus]:
            space = self._layout.queue(queue)
            answers = await self._database.call("cron_status", space, names, each=names, patient=False)
            keys = (CronKey(queue, name) for name in names)
            pairs = zip(keys, answers, strict=True)
            # An entry that several apps have registered belongs to the latest of them.
            return [_status(entries[key][1], *parts) for key, (*parts, _) in pairs if parts[0] == app.encode()]

        return await _in_chunks(entries, read)


def _name(name: str) -> str:
    return check_name("name", name)


def _report(worker: Attendance) -> str:
    return " ".join((check_name("worker id", worker.worker_id), *worker.fires))


def _read_report(text: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the id of a worker, and what it fires."""
    worker_id, *fires = text.decode("utf-8", "replace").split(" ")
    return worker_id, tuple(fires)


def _field(cron: CronKey) -> str:
    return f"{check_name('queue', cron.queue)} {_name(cron.name)}"


def _keys(fields: Iterable[bytes]) -> list[CronKey]:
    """Return the keys of entries, without those that no entry can have."""
    return [key for field in fields if (key := read_key(field)) is not None]


def read_key(field: bytes) -> CronKey | None:
    """Return the key of an entry from its field; None if no entry can have it."""
    try:
        queue, _, name = field.decode("ascii").partition(" ")
        return CronKey(check_name("queue", queue), check_name("name", name))
    except ValueError:
        return None


def is_app_name(name: bytes) -> bool:
    """Return whether a stored name can be that of an app."""
    try:
        check_name("name", name.decode("ascii"))
    except ValueError:
        return False
    return True


def read_entry(value: bytes) -> tuple[int, CronDefinition] | None:
    """Return when an entry was retired (0 if it is not), and its definition; None if the stored text is damaged."""
    retired, _, definition = value.partition(b" ")
    if (moment := _number(retired)) is None:
        return None
    try:
        return moment, _decode(definition)
    except (msgspec.DecodeError, RecursionError):
        return None


async def _in_chunks(
    keys: Iterable[CronKey], work: Callable[[str, Sequence[str]], Coroutine[Any, Any, list[R]]]
) -> tuple[list[R], dict[str, BrokerUnavailable]]:
    """Call `work` with queues and names of their entries, at most `MAX_ENTRIES_PER_SCRIPT` at a time.

    Returns all results, and the errors of the queues that cannot be reached while the server of the fleet can.
    """
    calls = {
        (queue, at): work(queue, [key.name for key in own[at : at + MAX_ENTRIES_PER_SCRIPT]])
        for queue, own in group_by(keys, queue_of).items()
        for at in range(0, len(own), MAX_ENTRIES_PER_SCRIPT)
    }
    answers, away = await in_parts(calls, may_all_fail=True)
    return [one for part in answers.values() for one in part], {queue: error for (queue, _), error in away.items()}


def _status(definition: CronDefinition, *parts: Any) -> CronStatus:
    """Read the status of an entry; see `lua/cron/cron_status.lua`."""
    app, _, armed, retired, paused, last_tick, success, result, *counts, run, last = parts
    fired, ok, failed, skipped, missed, coalesced = (_number(count) or 0 for count in counts)
    return CronStatus(
        definition=definition,
        app=app.decode("utf-8", "replace"),
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


def _status_of_stored(record: ScheduleRecord, parts: Sequence[Any]) -> CronStatus:
    """Return the status of a stored schedule; what the entry keeps of a registration does not count."""
    schedule, since = record.schedule, str(round(record.since * 1000)).encode()
    return _status(schedule.definition, schedule.app.encode(), b"", since, None, *parts[4:])


def _number(text: bytes | None) -> int | None:
    """Return a stored whole number; None if there is none, or it is damaged."""
    return int(text) if text and len(text) <= MAX_DIGITS and text.isdigit() else None


def _seconds(text: bytes | None) -> float | None:
    number = _number(text)
    return None if number is None else number / 1000


def _pause(text: bytes | None) -> Pause | None:
    if not text:
        return None
    # An entry with a damaged pause is paused all the same, and can be resumed.
    at, _, rest = text.partition(b" ")
    try:
        note = _decode_note(rest.partition(b" ")[2])
    except (msgspec.DecodeError, RecursionError):
        note = PauseNote(note="the stored note is damaged", by="")
    return Pause(note=note.note, by=note.by, at=_seconds(at) or 0.0)


def _run(cron: CronKey, text: bytes) -> TickRun | None:
    if not text:
        return None
    tick, _, rest = text.decode("utf-8", "replace").partition(" ")
    moment = _seconds(tick.encode())
    worker = rest.partition(" ")[2].partition(" ")[2]
    return None if moment is None else TickRun(name=cron.name, queue=cron.queue, tick=moment, worker_id=worker)
