"""Ids of jobs, workers and requests: unique without asking anybody, and in order of time."""

from __future__ import annotations

import os
import re
import time

__all__ = ["TICK_IDS", "check_name", "new_id", "tick_id"]

TICK_IDS = "cron:"
"""What the ids of jobs of `app.schedule` begin with, and no others."""

_NAMES = {
    "queue": re.compile(r"[A-Za-z0-9_.-]{1,64}"),
    "namespace": re.compile(r"[A-Za-z0-9_.-]{1,64}"),
    "name": re.compile(r"[A-Za-z0-9_.:-]{1,200}"),
    "worker id": re.compile(r"[A-Za-z0-9_.:@/+=-]{1,200}"),
    "job_id": re.compile(r"[A-Za-z0-9_.:@/+=-]{1,200}"),
}


def new_id() -> str:
    """Return 32 hexadecimal digits: 48 bits of milliseconds, then 80 bits of chance.

    Laid out as a UUID of version 7 (RFC 9562) but for its 6 fixed bits.
    """
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def tick_id(name: str, tick: float) -> str:
    """Return the id of the job that a tick of the entry `name` becomes; `tick` is seconds since 1970."""
    return f"{TICK_IDS}{name}:{round(tick * 1000)}"


def check_name(field: str, value: object) -> str:
    """Return `value` if it may be the name or id that `field` says.

    Raises:
        TypeError: It is not text.
        ValueError: It is empty, too long, or has characters that such names do not have.
    """
    if not isinstance(value, str):
        raise TypeError(f"{field} must be text, got {type(value).__name__}")
    allowed = _NAMES[field]
    if not allowed.fullmatch(value):
        shown = value if len(value) <= 80 else value[:77] + "..."
        raise ValueError(f"{field} {shown!r} is not of the form {allowed.pattern}")
    return value
