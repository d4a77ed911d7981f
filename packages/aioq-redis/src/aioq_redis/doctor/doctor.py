"""The doctor: asks the server, and puts together what follows from its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from aioq.clock import SystemClock
from aioq.errors import BrokerConfigError
from aioq.model.health import Finding, Level
from aioq.model.job import WorkerInfo
from aioq_redis.doctor.format import size
from aioq_redis.doctor.host import about_clock, about_host, parse_info
from aioq_redis.doctor.keys import Found, misfits, pattern, place_of
from aioq_redis.doctor.leaks import leaks_of
from aioq_redis.doctor.probes import Questions
from aioq_redis.doctor.queues import QueueFacts, about_queue, about_workers
from aioq_redis.doctor.snapshot import MOST, Snapshot, read_snapshot
from aioq_redis.jobs.workers import WorkerRegistryRole
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout

__all__ = ["Doctor"]

A_TIME: Final = 1000
MOST_SCANNED: Final = 1_000_000
"""Keys of the database that are gone through in search of those of the namespace."""

SEVERITY: Final = [Level.FAIL, Level.WARN, Level.OK]


class Doctor:
    """Looks after the keys of one namespace, and the server that has them."""

    def __init__(self, server: Database, layout: Layout, workers: WorkerRegistryRole) -> None:
        self._server, self._layout, self._fleet = server, layout, workers

    async def diagnose(self) -> list[Finding]:
        """Return all that was looked at, the worst first; see `aioq.protocols.Diagnosable.diagnose`."""
        questions = Questions(self._server)
        findings = [*await self._hosts(questions), *await self._clocks(questions)]
        workers = await self._workers(findings)
        found = await self._keys(questions, findings)
        memory = await self._memory(questions, found)
        findings += misfits(found) or [_in_order(found, memory)]
        for queue in sorted({one.place.queue for one in found if one.place} - {""}):
            mine = [one for one in found if one.place and one.place.queue == queue]
            findings += await self._queue(queue, mine, memory, workers)
        return sorted([*findings, *questions.refused], key=lambda finding: SEVERITY.index(finding.level))

    async def _hosts(self, questions: Questions) -> list[Finding]:
        infos = await questions.ask_everywhere("server", "INFO") or {}
        saves = await questions.ask_everywhere("persistence", "CONFIG", "GET", "save") or {}
        findings: list[Finding] = []
        for place, info in infos.items():
            save = saves.get(place)
            about = about_host(parse_info(info), save[1].decode() if save else None)
            findings += _at(place, about, of=len(infos))
        return findings

    async def _clocks(self, questions: Questions) -> list[Finding]:
        clock = SystemClock()
        before = clock.time()
        times = await questions.ask_everywhere("clock", "TIME") or {}
        after = clock.time()
        findings: list[Finding] = []
        for place, (seconds, microseconds) in times.items():
            there = int(seconds) + int(microseconds) / 1_000_000
            about = about_clock((before + after) / 2, there, abs(after - before) / 2)
            findings += _at(place, [about], of=len(times))
        return findings

    async def _workers(self, findings: list[Finding]) -> list[WorkerInfo] | None:
        try:
            workers = await self._fleet.list_workers()
        except BrokerConfigError as error:
            findings.append(_unreadable("workers", error))
            return None
        findings.append(about_workers(workers))
        return workers

    async def _keys(self, questions: Questions, findings: list[Finding]) -> list[Found]:
        """Return the keys of the namespace."""
        keys, whole = await self._scan(questions)
        if not whole:
            findings.append(
                Finding(
                    level=Level.WARN,
                    subject="keys",
                    text=f"only {MOST_SCANNED:,} keys of the database were gone through",
                    advice="give aioq a database of its own",
                )
            )
        types = await questions.ask_each("keys", [("TYPE", key) for key in keys])
        ttls = await questions.ask_each("keys", [("PTTL", key) for key in keys])
        places = [place_of(self._layout.namespace, key) for key in keys]
        rings = [key for key, place in zip(keys, places, strict=True) if place and place.name == "ticks"]
        sizes = dict(zip(rings, await questions.ask_each("keys", [("ZCARD", key) for key in rings]), strict=True))
        return [
            Found(key=key, type=type_.decode(), ttl=ttl, place=place, members=sizes.get(key) or 0)
            for key, type_, ttl, place in zip(keys, types, ttls, places, strict=True)
            if type_ is not None and type_ != b"none" and ttl is not None
        ]

    async def _scan(self, questions: Questions) -> tuple[list[bytes], bool]:
        """Return the names of keys on all servers, and whether these are all."""
        keys: set[bytes] = set()
        whole, server, servers = True, 0, 1
        while server < servers:
            cursor = b"0"
            for _ in range(MOST_SCANNED // A_TIME):
                words = ("SCAN", cursor, "MATCH", pattern(self._layout.namespace), "COUNT", A_TIME)
                # Each server has cursors of its own: of the answers to this one, the others' are of no use.
                answers = await questions.ask_everywhere("keys", *words)
                if answers is None:
                    return sorted(keys), False
                servers = len(answers)
                cursor, found = list(answers.values())[server]
                keys.update(found)
                if cursor == b"0":
                    break
            whole = whole and cursor == b"0"
            server += 1
        return sorted(keys), whole

    async def _memory(self, questions: Questions, found: Sequence[Found]) -> dict[bytes, int]:
        """Return about how many bytes each key takes; of its members a few are measured."""
        sizes = await questions.ask_each("memory", [("MEMORY", "USAGE", one.key) for one in found])
        return {one.key: taken for one, taken in zip(found, sizes, strict=True) if taken is not None}

    async def _queue(
        self, queue: str, found: Sequence[Found], memory: dict[bytes, int], workers: list[WorkerInfo] | None
    ) -> list[Finding]:
        if any(one.misplaced for one in found):
            return []  # which is a finding already, and the rest cannot be told
        try:
            seen = await self._snapshot(queue)
            earliest = await self._server.command("ZRANGE", self._layout.queue(queue).key("due"), 0, 0, "WITHSCORES")
        except BrokerConfigError as error:
            return [_unreadable(f"queue {queue}", error)]
        facts = QueueFacts(
            name=queue,
            seen=seen,
            earliest=float(earliest[1]) if earliest else None,
            memory=sum(memory.get(one.key, 0) for one in found) if memory else None,
        )
        return [*leaks_of(queue, seen), *about_queue(facts, workers)]

    async def _snapshot(self, queue: str) -> Snapshot:
        reply: list[Any] = await self._server.call("snapshot", self._layout.queue(queue), (MOST,))
        return read_snapshot(reply)


def _at(place: str, findings: Sequence[Finding], *, of: int) -> list[Finding]:
    """Return findings about a server; when it is one of several, they say about which."""
    return [replace(one, subject=f"{one.subject} {place}") if of > 1 else one for one in findings]


def _in_order(found: Sequence[Found], memory: dict[bytes, int]) -> Finding:
    facts = {"keys": len(found), "memory": sum(memory.values())}
    room = f", about {size(facts['memory'])}" if memory else ""
    text = f"{len(found):,}{room}; each has a time to live, or a bound"
    return Finding(level=Level.OK, subject="keys", text=text, facts=facts)


def _unreadable(subject: str, error: BrokerConfigError) -> Finding:
    text = f"could not be read: {error}"
    return Finding(level=Level.FAIL, subject=subject, text=text, advice="do what the message says")
