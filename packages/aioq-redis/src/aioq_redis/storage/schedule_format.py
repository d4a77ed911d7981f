"""Encodes and reads the line of a stored schedule; see `lua/lib/schedules.lua`."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

import msgspec

from aioq.model.schedules import ScheduleRecord, StoredSchedule
from aioq_redis.storage.tick_format import to_milliseconds

__all__ = ["NEVER", "digest_of", "moment_of", "read_line", "rest_of"]

NEVER: Final = "-"
"""Stands for no moment."""

_LINE: Final = re.compile(rb"(\S+) (\d{1,15}) (-|\d{1,15}) \S+ [0-9a-f]+ (\d{1,7}) ")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StoredSchedule).decode


def moment_of(due: float | None) -> str:
    """Return a moment as it is stored."""
    return NEVER if due is None else str(to_milliseconds(due))


def digest_of(schedule: StoredSchedule) -> str:
    """Return a text without blanks that is equal for equal fingerprints."""
    return sha256(schedule.definition.fingerprint.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def rest_of(schedule: StoredSchedule) -> bytes:
    """Return the part of the line that a firing does not change."""
    task = schedule.job.task.encode()
    return b"%b %b %d %b%b" % (schedule.app.encode(), digest_of(schedule).encode(), len(task), task, _encode(schedule))


def read_line(line: bytes) -> ScheduleRecord | None:
    """Read a line; return None if it is damaged."""
    if (found := _LINE.match(line)) is None:
        return None
    revision, since, due, length = found.groups()
    try:
        schedule = _decode(line[found.end() + int(length) :])
    except (msgspec.DecodeError, RecursionError):
        return None
    moment = None if due == b"-" else int(due) / 1000
    text = revision.decode("utf-8", "replace")
    return ScheduleRecord(schedule=schedule, revision=text, since=int(since) / 1000, due=moment)
