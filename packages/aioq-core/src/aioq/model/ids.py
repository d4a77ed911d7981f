"""Makes and checks ids of jobs, workers and requests. Ids need no coordination and sort by time."""

from __future__ import annotations

import os
import re
import time
from binascii import b2a_base64
from string import ascii_lowercase, ascii_uppercase, digits

__all__ = ["TICK_IDS", "check_name", "new_id", "tick_id"]

TICK_IDS = "cron:"
"""The prefix of the ids of `app.schedule` jobs, and of no others."""

_LAST_STAMP = 2**42 - 1

_IN_ORDER = bytes.maketrans(
    (ascii_uppercase + ascii_lowercase + digits + "+/").encode(),
    "".join(sorted("-_" + digits + ascii_uppercase + ascii_lowercase)).encode(),
)
"""Maps the base64 alphabet to one whose characters sort like their values."""

_NAMES = {
    "queue": re.compile(r"[A-Za-z0-9_.-]{1,64}"),
    "namespace": re.compile(r"[A-Za-z0-9_.-]{1,64}"),
    "name": re.compile(r"[A-Za-z0-9_.:-]{1,200}"),
    "worker id": re.compile(r"[A-Za-z0-9_.:@/+=-]{1,200}"),
    "job_id": re.compile(r"[A-Za-z0-9_.:@/+=-]{1,200}"),
}


def new_id() -> str:
    """Return a new id of 21 characters: 42 bits of milliseconds, which suffice until 2109, and 84 random bits.

    Sorted as text, ids are in order of time. Their 64 characters need no quoting in a URL or a shell, and
    an id does not begin with a dash.
    """
    stamp = (time.time_ns() // 1_000_000 & _LAST_STAMP) << 86
    number = stamp | int.from_bytes(os.urandom(11), "big") >> 2
    # The first 126 of 128 bits: each character has 6, and a 22nd would hold the 2 that are left.
    return b2a_base64(number.to_bytes(16, "big")).translate(_IN_ORDER)[:21].decode()


def tick_id(name: str, tick: float) -> str:
    """Return the id of the job for a tick of the entry `name`; `tick` is in seconds since 1970."""
    return f"{TICK_IDS}{name}:{round(tick * 1000)}"


def read_tick_id(job_id: str) -> tuple[str, float] | None:
    """Return the entry's name and the tick of an id that `tick_id` made; None for other ids."""
    # From the right, as names may contain colons.
    name, _, milliseconds = job_id.removeprefix(TICK_IDS).rpartition(":")
    if not name or not milliseconds.lstrip("-").isdecimal():
        return None
    return name, int(milliseconds) / 1000


def check_name(field: str, value: object) -> str:
    """Return `value` if it is valid as the kind of name or id that `field` names.

    Raises:
        TypeError: It is not text.
        ValueError: It is empty, too long, or contains a character that is not allowed.
    """
    if not isinstance(value, str):
        raise TypeError(f"{field} must be text, got {type(value).__name__}")
    allowed = _NAMES[field]
    if not allowed.fullmatch(value):
        shown = value if len(value) <= 80 else value[:77] + "..."
        raise ValueError(f"{field} {shown!r} is not of the form {allowed.pattern}")
    return value
