"""Records of ticks as they are stored; see `lua/lib/tick_history.lua`."""

from __future__ import annotations

from typing import Final

from aioq.model.cron import CronKey, TickRecord, TickStatus
from aioq.model.ids import tick_id
from aioq.serialization.failure import one_line

__all__ = ["body_of", "owner_of", "read_record", "wire", "worker_of"]

LONGEST: Final = 1000
"""Characters of a reason or an error."""

USUAL_JOB: Final = "="

_LETTERS: Final = {
    TickStatus.FIRED: "f",
    TickStatus.OK: "o",
    TickStatus.FAILED: "x",
    TickStatus.SKIPPED: "s",
    TickStatus.MISSED: "m",
}
_STATUSES: Final = {letter: status for status, letter in _LETTERS.items()}


def wire(moment: float) -> int:
    """Return a tick as scripts compare it: in whole milliseconds."""
    return round(moment * 1000)


def worker_of(record: TickRecord) -> str:
    """Return who ran it: nobody did if it was skipped or missed."""
    return "" if record.status in (TickStatus.SKIPPED, TickStatus.MISSED) else record.worker_id


def owner_of(record: TickRecord) -> str:
    """Return whose record of the tick it is; a job, as what nobody ran, has one for the whole fleet."""
    return "" if record.job_id is not None else worker_of(record)


def body_of(record: TickRecord) -> str:
    """Return what is stored behind tick and owner."""
    owner, worker, tick = owner_of(record), worker_of(record), wire(record.tick)
    usual = record.job_id == tick_id(record.name, record.tick)
    lines = (
        f"{_LETTERS[record.status]}{record.count} {_after(tick, record.fired_at)} {_after(tick, record.finished_at)}",
        one_line(record.reason, LONGEST),
        "" if worker == owner else worker,
        USUAL_JOB if usual else one_line(record.job_id or "", LONGEST),
        one_line(record.error, LONGEST),
    )
    return "\n".join(lines)


def read_record(cron: CronKey, member: bytes) -> TickRecord:
    """Return the record that a member of the ring is."""
    head, times, reason, worker, job, error = member.decode().split("\n")
    tick, _, owner = head.partition(" ")
    kind, fired, finished = times.split(" ")
    moment = int(tick) / 1000
    return TickRecord(
        name=cron.name,
        queue=cron.queue,
        tick=moment,
        status=_STATUSES[kind[0]],
        reason=reason,
        count=int(kind[1:]),
        worker_id=worker or owner,
        fired_at=_moment(int(tick), fired),
        finished_at=_moment(int(tick), finished),
        error=error,
        job_id=tick_id(cron.name, moment) if job == USUAL_JOB else job or None,
    )


def _after(tick: int, moment: float | None) -> str:
    return "-" if moment is None else str(wire(moment) - tick)


def _moment(tick: int, after: str) -> float | None:
    return None if after == "-" else (tick + int(after)) / 1000
