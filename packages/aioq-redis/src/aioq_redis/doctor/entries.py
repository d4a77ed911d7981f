"""Checks the stored entries of apps: what is damaged is skipped by workers, and named here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from aioq.model.health import Finding, Level
from aioq_redis.cron.registry import read_entry, read_key
from aioq_redis.doctor.keys import Found, sample_of
from aioq_redis.doctor.probes import Probes

__all__ = ["about_entries"]

MAX_KEYS: Final = 1000
"""Keys of entries, and keys of apps, that are read."""

NUMBER: Final = re.compile(rb"\d{1,15}")

FIELDS: Final[Mapping[bytes, re.Pattern[bytes]]] = {
    **dict.fromkeys((b"number", b"armed", b"retired", b"last_tick", b"success", b"forgotten"), NUMBER),
    **dict.fromkeys((b"fired", b"ok", b"failed", b"skipped", b"missed", b"coalesced"), NUMBER),
    b"run": re.compile(rb"\d{1,15} \d{1,15} [a-z]\d{0,15} .*", re.DOTALL),
    b"claim": re.compile(rb"[a-z]+ \d{0,15} (?:\d{0,15}|=) \d{1,15} [^\n]*\n.*", re.DOTALL),
    b"paused": re.compile(rb"\d{1,15} \S+ \{.*\}", re.DOTALL),
}
"""The form of the fields of `cron:<name>` that scripts and commands read."""

Check: TypeAlias = Callable[[Mapping[bytes, bytes]], Iterable[bytes]]
"""Returns the damaged fields of a hash."""

ADVICE: Final = "find the other program that writes to these keys, and remove the fields; workers skip them"


async def about_entries(probes: Probes, found: Sequence[Found]) -> list[Finding]:
    """Return a finding for each kind of damage to the entries of a namespace."""
    damaged = await _damaged(probes, found, "cron", _damaged_fields)
    broken = await _damaged(probes, found, "crons", _damaged_definitions)
    return [
        *_finding("fields of entries are damaged", damaged),
        *_finding("definitions of entries are damaged", broken),
    ]


async def _damaged(probes: Probes, found: Sequence[Found], name: str, check: Check) -> list[bytes]:
    keys = [one.key for one in found if one.place and one.place.name == name and not one.is_mistyped][:MAX_KEYS]
    replies = await probes.ask_each("entries", [("HGETALL", key) for key in keys])
    return [
        key + b" " + field
        for key, reply in zip(keys, replies, strict=True)
        for field in check(dict(zip(reply[::2], reply[1::2], strict=True)) if reply else {})
    ]


def _damaged_fields(fields: Mapping[bytes, bytes]) -> Iterable[bytes]:
    return [name for name, value in fields.items() if name in FIELDS and not FIELDS[name].fullmatch(value)]


def _damaged_definitions(fields: Mapping[bytes, bytes]) -> Iterable[bytes]:
    for field, value in fields.items():
        entry = read_entry(value)
        if field and (entry is None or entry[1].key != read_key(field)):
            yield field


def _finding(text: str, damaged: Sequence[bytes]) -> Iterable[Finding]:
    if damaged:
        facts = {"count": len(damaged)}
        shown = f"{text}: {sample_of(damaged)}"
        yield Finding(level=Level.WARN, subject="entries", text=shown, advice=ADVICE, facts=facts)
