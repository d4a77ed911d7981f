"""The keys that were found in a namespace: which of them are ours, and as they should be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aioq.model.health import Finding, Level
from aioq_redis.doctor.format import some
from aioq_redis.storage.keys import FLEET, TYPES, WITH_OWNER, WITHOUT_TTL

__all__ = ["Found", "Place", "misfits", "pattern", "place_of"]

MOST_TICKS: Final = 100

SUBJECT: Final = "keys"
MOVE: Final = "remove them, or use another namespace"


@dataclass(frozen=True, slots=True)
class Place:
    """What a key is for."""

    queue: str
    """Empty for the keys of the fleet."""
    name: str
    """Without what follows its first colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A key as it is in the server."""

    key: bytes
    type: str
    ttl: int
    """Milliseconds; -1 for none."""
    place: Place | None
    """None when it is not ours."""
    members: int = 0
    """Of the ticks of an entry."""

    @property
    def misplaced(self) -> bool:
        """Whether something else is stored than should be."""
        return self.place is not None and self.type != TYPES[self.place.name]


def pattern(namespace: str) -> str:
    """Return what matches all keys of a namespace, and of no other."""
    return f"{{{namespace}[:}}]*"


def place_of(namespace: str, key: bytes) -> Place | None:
    """Return what a key of a namespace is for; None when nothing is known of it."""
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


def misfits(found: Sequence[Found]) -> list[Finding]:
    """Return what is wrong with keys, each taken by itself."""
    return [
        *_misplaced(found),
        *_warning(
            (one for one in found if one.place is None), "keys are in the namespace that nothing is known of", MOVE
        ),
        *_warning(
            (one for one in found if one.ttl == -1 and one.place and one.place.name not in WITHOUT_TTL),
            "keys have no time to live, and should have one",
            "find out who takes it from them; what they hold is old and may be removed",
        ),
        *_warning(
            (one for one in found if one.members > MOST_TICKS),
            f"entries have more than {MOST_TICKS} records of ticks",
            "find out who else writes to these keys",
        ),
    ]  # fmt: skip


def _misplaced(found: Iterable[Found]) -> Iterable[Finding]:
    for one in found:
        if one.place is not None and one.misplaced:
            text = f"key {some([one.key])} is a {one.type} and should be a {TYPES[one.place.name]}"
            yield Finding(level=Level.FAIL, subject=SUBJECT, text=text, advice="remove it, or use another namespace")


def _warning(found: Iterable[Found], text: str, advice: str) -> Iterable[Finding]:
    if keys := [one.key for one in found]:
        facts = {"count": len(keys)}
        yield Finding(level=Level.WARN, subject=SUBJECT, text=f"{text}: {some(keys)}", advice=advice, facts=facts)
