"""Stores the signs of life of each queue's workers, by which the broker notices that all of them were cut off."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from aioq.model.outage import SignsOfLife, note_extended, note_sign

__all__ = ["note"]


def note(db: sqlite3.Connection, queue: str, now: float, lease: float, *, claimed: Iterable[float] = ()) -> SignsOfLife:
    """Note that a worker has reaped, or has extended leases that were claimed at these moments."""
    row = db.execute("SELECT signs FROM signs WHERE queue = ?", (queue,)).fetchone()
    known = msgspec.json.decode(row["signs"], type=SignsOfLife) if row else None
    signs = note_extended(note_sign(known, now, lease=lease), claimed)
    db.execute("INSERT OR REPLACE INTO signs VALUES (?, ?)", (queue, msgspec.json.encode(signs)))
    return signs
