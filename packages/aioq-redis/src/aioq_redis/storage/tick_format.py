"""Encodes and reads the record of a tick; see `lua/lib/tick_history.lua`."""

from __future__ import annotations

from typing import Final

from aioq.model.cron import CronKey, TickRecord, TickStatus
from aioq.model.ids import tick_id
from aioq.serialization.failure import one_line

__all__ = ["body_of", "owner_of", "read_record", "to_milliseconds", "worker_of"]

MAX_TEXT_CHARACTERS: Final = 1000
"""Length of a stored reason, job id or error. The rest is cut off."""

DEFAULT_JOB_ID: Final = "="
"""Stands for the job id that is made of the entry and the tick."""

_LETTERS: Final = {
    TickStatus.FIRED: "f",
    TickStatus.OK: "o",
    TickStatus.FAILED: "x",
    TickStatus.SKIPPED: "s",
    TickStatus.MISSED: "m",
}
_STATUSES: Final = {letter: status for status, letter in _LETTERS.items()}


def to_milliseconds(moment: float) -> int:
    """Return a tick in whole milliseconds, as scripts compare ticks."""
    return round(moment * 1000)


def worker_of(record: TickRecord) -> str:
    """Return the worker that ran the tick, or "" if it was skipped or missed."""
    return "" if record.status in (TickStatus.SKIPPED, TickStatus.MISSED) else record.worker_id


def owner_of(record: TickRecord) -> str:
    """Return the worker whose record this is, or "" if the whole fleet has one record of the tick.

    An entry that fires on each worker has a record for each of them. A tick that enqueued a job, was skipped or was
    missed has one record.
    """
    return "" if record.job_id is not None else worker_of(record)


def body_of(record: TickRecord) -> str:
    """Return the stored record without its first line, the tick and the owner."""
    worker = worker_of(record)
    tick = to_milliseconds(record.tick)
    # The usual id repeats name and tick. Leaving it out saves room in each of the 100 records of an entry.
    is_default = record.job_id == tick_id(record.name, record.tick)
    lines = (
        # Moments relative to the tick are a few digits instead of 13.
        f"{_LETTERS[record.status]}{record.count} {_after(tick, record.fired_at)} {_after(tick, record.finished_at)}",
        one_line(record.reason, MAX_TEXT_CHARACTERS),
        "" if worker == owner_of(record) else worker,
        DEFAULT_JOB_ID if is_default else one_line(record.job_id or "", MAX_TEXT_CHARACTERS),
        one_line(record.error, MAX_TEXT_CHARACTERS),
    )
    return "\n".join(lines)


def read_record(cron: CronKey, member: bytes) -> TickRecord | None:
    """Read a member of `ticks:<name>`; return None if it is damaged."""
    try:
        return _read_record(cron, member)
    except (ValueError, KeyError, IndexError):
        return None


def _read_record(cron: CronKey, member: bytes) -> TickRecord:
    head, times, reason, worker, job, error = member.decode().split("\n")
    tick, _, owner = head.partition(" ")
    status, fired, finished = times.split(" ")
    moment = int(tick) / 1000
    return TickRecord(
        name=cron.name,
        queue=cron.queue,
        tick=moment,
        status=_STATUSES[status[0]],
        reason=reason,
        count=int(status[1:]),
        worker_id=worker or owner,
        fired_at=_moment(int(tick), fired),
        finished_at=_moment(int(tick), finished),
        error=error,
        job_id=tick_id(cron.name, moment) if job == DEFAULT_JOB_ID else job or None,
    )


def _after(tick: int, moment: float | None) -> str:
    return "-" if moment is None else str(to_milliseconds(moment) - tick)


def _moment(tick: int, after: str) -> float | None:
    return None if after == "-" else (tick + int(after)) / 1000
