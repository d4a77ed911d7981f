"""Reads the server and the keys of a namespace, and collects the findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec.structs import replace

from aioq.clock import SystemClock
from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.model.health import Finding, Level
from aioq.model.workers import WorkerInfo
from aioq_redis.doctor.cluster import about_away, about_away_queues, about_coverage
from aioq_redis.doctor.damage import about_damage
from aioq_redis.doctor.entries import about_entries
from aioq_redis.doctor.host import about_clock, about_host, format_bytes, parse_info
from aioq_redis.doctor.keys import Found, misfits, pattern, place_of, sample_of
from aioq_redis.doctor.leaks import leaks_of
from aioq_redis.doctor.probes import Probes
from aioq_redis.doctor.queues import QueueFacts, about_queue, about_stuck, about_workers
from aioq_redis.doctor.repair import about_held, remove_orphans
from aioq_redis.doctor.snapshot import MAX_IDS, Snapshot, read_snapshot
from aioq_redis.jobs.workers import WorkerRegistryRole
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout, is_queue_name

__all__ = ["Doctor"]

SCAN_COUNT: Final = 1000
"""Keys that one SCAN command visits."""

MAX_SCANNED_KEYS: Final = 1_000_000
"""Keys that the doctor visits on each server in search of those of the namespace."""

SEVERITY: Final = [Level.FAIL, Level.WARN, Level.OK]


class Doctor:
    """Checks the keys of one namespace, and the servers that store them."""

    def __init__(self, database: Database, layout: Layout, workers: WorkerRegistryRole) -> None:
        self._database = database
        self._layout = layout
        self._worker_registry = workers

    async def diagnose(self, *, fix: bool) -> list[Finding]:
        """Return all findings, the most severe first; see `aioq.protocols.Diagnosable.diagnose`."""
        probes = Probes(self._database)
        findings = [*await self._hosts(probes), *await self._clocks(probes)]
        workers = await self._workers(findings)
        found = await self._keys(probes, findings)
        findings += await self._away(probes)
        memory = await self._memory(probes, found)
        findings += misfits(found) or [_in_order(found, memory)]
        findings += [*await self._queue_names(found), *await about_entries(probes, found)]
        for queue in sorted({one.place.queue for one in found if one.place} - {""}):
            mine = [one for one in found if one.place and one.place.queue == queue]
            findings += await about_damage(self._database, probes, queue, mine, fix=fix)
            if fix and not any(one.is_mistyped for one in mine):
                findings += [one async for one in remove_orphans(self._database, self._layout.queue(queue), queue)]
            findings += await self._queue(queue, mine, memory, workers, fix=fix)
        return sorted([*findings, *probes.rejected], key=lambda finding: SEVERITY.index(finding.level))

    async def _hosts(self, probes: Probes) -> list[Finding]:
        infos = await probes.ask_everywhere("server", "INFO") or {}
        saves = await probes.ask_everywhere("persistence", "CONFIG", "GET", "save") or {}
        findings: list[Finding] = []
        if len(infos) + len(probes.away) > 1:
            findings += await self._coverage(probes, infos)
        for place, info in infos.items():
            save = saves.get(place)
            about = about_host(parse_info(info), save[1].decode() if save else None)
            findings += _at(place, about, of=len(infos) + len(probes.away))
        return findings

    async def _coverage(self, probes: Probes, infos: Mapping[str, bytes]) -> list[Finding]:
        """Return a finding if one node of a cluster that goes away would take the others with it."""
        settings = await probes.ask_everywhere("cluster", "CONFIG", "GET", "cluster-require-full-coverage") or {}
        needed = any(setting and setting[1] == b"yes" for setting in settings.values())
        alone = [place for place, info in infos.items() if parse_info(info).get("connected_slaves") == "0"]
        return [about_coverage(alone)] if needed and alone else []

    async def _away(self, probes: Probes) -> list[Finding]:
        """Return findings about the servers that do not answer, and the queues that are stored there."""
        if not probes.away:
            return []
        names: list[str] = []
        with suppress(BrokerConfigError, BrokerUnavailable):
            stored = await self._database.command("SMEMBERS", self._layout.fleet.key("queue_names"), patient=False)
            names = sorted(name.decode() for name in stored if is_queue_name(name))
        away = [name for name in names if self._database.is_away(self._layout.queue(name).key("jobs"))]
        return [*map(about_away, probes.away, probes.away.values()), *about_away_queues(away)]

    async def _clocks(self, probes: Probes) -> list[Finding]:
        clock = SystemClock()
        before = clock.time()
        times = await probes.ask_everywhere("clock", "TIME") or {}
        after = clock.time()
        findings: list[Finding] = []
        for place, (seconds, microseconds) in times.items():
            there = int(seconds) + int(microseconds) / 1_000_000
            about = about_clock((before + after) / 2, there, abs(after - before) / 2)
            findings += _at(place, [about], of=len(times) + len(probes.away))
        return findings

    async def _workers(self, findings: list[Finding]) -> list[WorkerInfo] | None:
        try:
            workers = await self._worker_registry.list_workers()
        except (BrokerConfigError, BrokerUnavailable) as error:
            findings.append(_unreadable("workers", error))
            return None
        findings += [about_workers(workers), *about_stuck(workers)]
        return workers

    async def _keys(self, probes: Probes, findings: list[Finding]) -> list[Found]:
        """Return the keys of the namespace."""
        keys, is_complete = await self._scan(probes)
        if not is_complete:
            findings.append(
                Finding(
                    level=Level.WARN,
                    subject="keys",
                    text=f"only {MAX_SCANNED_KEYS:,} keys of the database were searched",
                    advice="give aioq a database of its own",
                )
            )
        types = await probes.ask_each("keys", [("TYPE", key) for key in keys])
        ttls = await probes.ask_each("keys", [("PTTL", key) for key in keys])
        places = [place_of(self._layout.namespace, key) for key in keys]
        histories = [key for key, place in zip(keys, places, strict=True) if place and place.name == "ticks"]
        sizes = dict(zip(histories, await probes.ask_each("keys", [("ZCARD", key) for key in histories]), strict=True))
        return [
            Found(key=key, type=type_.decode(), ttl=ttl, place=place, members=sizes.get(key) or 0)
            for key, type_, ttl, place in zip(keys, types, ttls, places, strict=True)
            if type_ is not None and type_ != b"none" and ttl is not None
        ]

    async def _scan(self, probes: Probes) -> tuple[list[bytes], bool]:
        """Return the keys of the namespace on all servers, and whether all keys were visited."""
        keys: set[bytes] = set()
        is_complete = True
        server = 0
        servers = 1
        while server < servers:
            cursor = b"0"
            for _ in range(MAX_SCANNED_KEYS // SCAN_COUNT):
                words = ("SCAN", cursor, "MATCH", pattern(self._layout.namespace), "COUNT", SCAN_COUNT)
                # The command goes to all servers, but the cursor is that of one. The replies of the others are ignored.
                answers = await probes.ask_everywhere("keys", *words)
                if answers is None:
                    return sorted(keys), False
                servers = len(answers)
                if server >= servers:
                    # One of them has gone away meanwhile.
                    return sorted(keys), False
                cursor, found = list(answers.values())[server]
                keys.update(found)
                if cursor == b"0":
                    break
            is_complete = is_complete and cursor == b"0"
            server += 1
        return sorted(keys), is_complete

    async def _memory(self, probes: Probes, found: Sequence[Found]) -> dict[bytes, int]:
        """Return an estimate in bytes for each key: the server measures a few of its members."""
        sizes = await probes.ask_each("memory", [("MEMORY", "USAGE", one.key) for one in found])
        return {one.key: taken for one, taken in zip(found, sizes, strict=True) if taken is not None}

    async def _queue(
        self,
        queue: str,
        found: Sequence[Found],
        memory: dict[bytes, int],
        workers: list[WorkerInfo] | None,
        *,
        fix: bool,
    ) -> list[Finding]:
        if any(one.is_mistyped for one in found):
            # `misfits` has reported the key, and the script cannot read it.
            return []
        try:
            held = await about_held(self._database, self._layout.queue(queue), queue, fix=fix)
            snapshot = await self._snapshot(queue)
            key = self._layout.queue(queue).key("due")
            earliest = await self._database.command("ZRANGEBYSCORE", key, 0, "+inf", "WITHSCORES", "LIMIT", 0, 1)
        except (BrokerConfigError, BrokerUnavailable) as error:
            return [_unreadable(f"queue {queue}", error)]
        facts = QueueFacts(
            name=queue,
            snapshot=snapshot,
            earliest=float(earliest[1]) if earliest else None,
            memory=sum(memory.get(one.key, 0) for one in found) if memory else None,
        )
        return [*held, *leaks_of(queue, snapshot), *about_queue(facts, workers)]

    async def _queue_names(self, found: Sequence[Found]) -> list[Finding]:
        """Return a finding if names of queues are stored that no queue can have."""
        key = self._layout.fleet.key("queue_names")
        if not any(one.key == key.encode() and not one.is_mistyped for one in found):
            return []
        damaged = [name for name in await self._database.command("SMEMBERS", key) if not is_queue_name(name)]
        if not damaged:
            return []
        text = f"names of queues are stored that no queue can have: {sample_of(damaged)}"
        return [Finding(level=Level.WARN, subject="keys", text=text, advice=f"remove them with SREM from {key}")]

    async def _snapshot(self, queue: str) -> Snapshot:
        reply: list[Any] = await self._database.call("snapshot", self._layout.queue(queue), (MAX_IDS,))
        return read_snapshot(reply)


def _at(place: str, findings: Sequence[Finding], *, of: int) -> list[Finding]:
    """Return findings about a server, with its address in the subject if there are several servers."""
    return [replace(one, subject=f"{one.subject} {place}") if of > 1 else one for one in findings]


def _in_order(found: Sequence[Found], memory: dict[bytes, int]) -> Finding:
    facts = {"keys": len(found), "memory": sum(memory.values())}
    room = f", about {format_bytes(facts['memory'])}" if memory else ""
    text = f"{len(found):,}{room}; each has a time to live, or a bound"
    return Finding(level=Level.OK, subject="keys", text=text, facts=facts)


def _unreadable(subject: str, error: Exception) -> Finding:
    text = f"could not be read: {error}"
    return Finding(level=Level.FAIL, subject=subject, text=text, advice="do what the message says")
