"""Checks single keys of a namespace: their names, types, times to live and sizes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.health import Finding, Level
from aioq.serialization.failure import one_line
from aioq_redis.storage.keys import FLEET, TYPES, WITH_OWNER, WITHOUT_TTL

__all__ = ["Found", "Place", "misfits", "pattern", "place_of", "sample_of"]

MAX_TICKS: Final = 100
MAX_SHOWN_NAMES: Final = 3
MAX_NAME_CHARACTERS: Final = 60

SUBJECT: Final = "keys"
REMOVE: Final = "remove them, or use another namespace"


@dataclass(frozen=True, slots=True)
class Place:
    """The queue and the purpose of a key."""

    queue: str
    """Empty for the keys of the fleet."""
    name: str
    """The name of the key up to its first colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was read of a key."""

    key: bytes
    type: str
    ttl: int
    """Milliseconds; -1 for none."""
    place: Place | None
    """None if aioq has no such key."""
    members: int = 0
    """Size of a `ticks:<name>` key; else 0."""

    @property
    def is_mistyped(self) -> bool:
        """Whether its type differs from that of the keys of this name."""
        return self.place is not None and self.type != TYPES[self.place.name]


def pattern(namespace: str) -> str:
    """Return a pattern for SCAN that matches the keys of a namespace, and no others."""
    return f"{{{namespace}[:}}]*"


def place_of(namespace: str, key: bytes) -> Place | None:
    """Return the place of a key of a namespace, None if aioq has no such key."""
    text = key.decode("utf-8", "replace")
    found = re.fullmatch(
        rf"\{{{re.escape(namespace)}(?::([A-Za-z0-9_.-]{{1,64}}))?\}}:([a-z_]+)(?::(.+))?", text, re.DOTALL
    )
    if not found:
        return None
    queue, name, owner = found[1] or "", found[2], found[3]
    if name not in TYPES or (name in FLEET) == bool(queue):
        return None
    owned = (
        re.fullmatch("[0-9]", owner or "") is not None
        if name == "ready"
        else (owner is not None) == (name in WITH_OWNER)
    )
    return Place(queue, name) if owned else None


def sample_of(names: Collection[bytes]) -> str:
    """Return the number of names and the first of them, as one printable line."""
    first = sorted(names)[:MAX_SHOWN_NAMES]
    shown = ", ".join(one_line(name.decode("utf-8", "backslashreplace"), MAX_NAME_CHARACTERS) for name in first)
    return f"{len(names):,}, for example {shown}" if len(names) > MAX_SHOWN_NAMES else shown


def misfits(found: Sequence[Found]) -> list[Finding]:
    """Return a finding for each kind of defect of single keys."""
    return [
        *_mistyped(found),
        *_warning(
            (one for one in found if one.place is None), "unknown keys are in the namespace", REMOVE
        ),
        *_warning(
            (one for one in found if one.ttl == -1 and one.place and one.place.name not in WITHOUT_TTL),
            "keys have no time to live, and should have one",
            "find the program that removed it; the data in them are old and may be deleted",
        ),
        *_warning(
            (one for one in found if one.members > MAX_TICKS),
            f"entries have more than {MAX_TICKS} records of ticks",
            "find the other program that writes to these keys",
        ),
    ]  # fmt: skip


def _mistyped(found: Iterable[Found]) -> Iterable[Finding]:
    for one in found:
        if one.place is not None and one.is_mistyped:
            text = f"key {sample_of([one.key])} is a {one.type} and should be a {TYPES[one.place.name]}"
            yield Finding(level=Level.FAIL, subject=SUBJECT, text=text, advice="remove it, or use another namespace")


def _warning(found: Iterable[Found], text: str, advice: str) -> Iterable[Finding]:
    if keys := [one.key for one in found]:
        facts = {"count": len(keys)}
        yield Finding(level=Level.WARN, subject=SUBJECT, text=f"{text}: {sample_of(keys)}", advice=advice, facts=facts)
