"""Checks the file, the workers and the queues, for `aioq doctor`."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from aioq.model.health import Finding, Level
from aioq.model.workers import WorkerInfo
from aioq_sqlite.database import Role
from aioq_sqlite.leases import tidy
from aioq_sqlite.transaction import Transaction
from aioq_sqlite.workers import workers_up

__all__ = ["DiagnosableRole"]

LITTLE_ROOM = 0.05
"""The part of the disk that should be free."""

OVERDUE = 60.0
"""Seconds after which a lease that ran out should have been taken back."""

MIB = 1024**2

SEVERITY = [Level.FAIL, Level.WARN, Level.OK]

QUEUES = (
    "SELECT queue, COUNT(*) AS jobs, COUNT(*) FILTER (WHERE state = 'dead') AS dead,"
    " COUNT(*) FILTER (WHERE state = 'running' AND deadline < :overdue) AS overdue,"
    " COUNT(*) FILTER (WHERE state IN ('pending', 'scheduled', 'retrying') AND run_at <= :now) AS due"
    " FROM jobs GROUP BY queue ORDER BY queue"
)


class DiagnosableRole(Role):
    """Implements `aioq.protocols.Diagnosable`."""

    async def diagnose(self, *, fix: bool = False) -> list[Finding]:
        """Check the store; see `aioq.protocols.Diagnosable.diagnose`."""

        def check(transaction: Transaction) -> list[Finding]:
            removed = tidy(transaction) if fix else 0
            moments = {"now": transaction.now, "overdue": transaction.now - OVERDUE}
            rows, workers = transaction.execute(QUEUES, moments).fetchall(), workers_up(transaction)
            findings = [*_about_file(Path(self._database.path)), _about_workers(workers)]
            findings += [finding for row in rows for finding in _about_queue(row, workers)]
            if removed:
                text = f"{removed} rows of claims, crashes and workers were removed that no call would have asked for"
                findings.append(Finding(level=Level.OK, subject="repair", text=text, facts={"removed": removed}))
            return findings

        found = await (self._transact(check) if fix else self._database.run(lambda: self._database.read(check)))
        return sorted(found, key=lambda finding: SEVERITY.index(finding.level))


def _about_file(path: Path) -> Iterator[Finding]:
    parts = [path, Path(f"{path}-wal")]
    size = sum(part.stat().st_size for part in parts if part.exists())
    disk = shutil.disk_usage(path.parent)
    facts = {"bytes": size, "free": disk.free}
    text = f"{size / MIB:,.1f} MiB, and {disk.free / MIB:,.0f} MiB of the disk are free"
    if disk.free < LITTLE_ROOM * disk.total:
        advice = "free space on the disk: enqueue fails once it is full"
        yield Finding(level=Level.WARN, subject="file", text=text, advice=advice, facts=facts)
    else:
        yield Finding(level=Level.OK, subject="file", text=text, facts=facts)


def _about_workers(workers: list[WorkerInfo]) -> Finding:
    text = f"{len(workers)} up: {', '.join(worker.id for worker in workers[:10])}" if workers else "none is up"
    level, advice = (Level.OK, "") if workers else (Level.WARN, "start one: aioq worker module:app")
    return Finding(level=level, subject="workers", text=text, advice=advice, facts={"workers": len(workers)})


def _about_queue(row: sqlite3.Row, workers: list[WorkerInfo]) -> Iterator[Finding]:
    queue, facts = row["queue"], {key: row[key] for key in ("jobs", "dead", "overdue", "due")}
    text = f"{row['jobs']} jobs, {row['due']} of them due"
    served = any(queue in worker.queues for worker in workers)
    level, advice = Level.OK, ""
    if row["due"] and not served:
        level, advice = Level.FAIL, f"start a worker that consumes the queue {queue}"
    yield Finding(level=level, subject=f"queue {queue}", text=text, advice=advice, facts=facts)
    if row["overdue"]:
        text = f"{row['overdue']} leases ran out more than {OVERDUE:.0f} s ago and were not taken back"
        advice = f"start a worker that consumes the queue {queue}: it takes them back"
        yield Finding(level=Level.FAIL, subject=f"queue {queue}", text=text, advice=advice)
    if row["dead"]:
        advice = "look at them with aioq jobs show, and put them back with Job.retry"
        yield Finding(level=Level.WARN, subject=f"queue {queue}", text=f"{row['dead']} dead jobs", advice=advice)
