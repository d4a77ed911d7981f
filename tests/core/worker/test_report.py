"""What a worker reports about itself with its heartbeat."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioq import Aarq
from aioq.model.workers import MAX_RUNS, RunInfo, WorkerInfo, first_runs
from aioq.testing import VirtualClock
from aioq.worker import report
from aioq.worker.report import resident_memory
from tests.core.rig import Hold, working


async def reported(app: Aarq, clock: VirtualClock) -> WorkerInfo:
    """Return the next report of the only worker."""
    await clock.advance(10)
    workers: list[WorkerInfo] = await app.broker.list_workers()  # type: ignore[attr-defined]  # a memory broker
    (info,) = workers
    return info


async def test_report_has_the_running_jobs(app: Aarq, clock: VirtualClock) -> None:
    """A job that runs is in the report with its start, and one that has ended is not."""
    hold = Hold(app)
    job = await hold.task.enqueue()
    async with working(app, clock=clock, id="w1"):
        await hold.started.wait()
        since = clock.time()
        info = await reported(app, clock)
        assert info.runs == (RunInfo(job_id=job.id, queue="default", task=hold.task.name, attempt=1, since=since),)
        assert info.version
        hold.release.set()
        assert (await reported(app, clock)).runs == ()


def test_first_runs_keeps_the_oldest() -> None:
    """Of many runs the oldest are reported, so that a report is bounded."""
    runs = [RunInfo(job_id=str(n), queue="q", task="t", attempt=1, since=float(n % 70)) for n in range(140)]
    kept = first_runs(runs)
    assert len(kept) == MAX_RUNS
    assert [run.since for run in kept] == sorted(run.since for run in runs)[:MAX_RUNS]


def test_resident_memory_grows_with_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The figure is that of the system in bytes; without `/proc` there is none."""
    if not Path(report.STATM).exists():
        assert resident_memory() is None
        return
    before = resident_memory()
    block = bytearray(b"x") * 50_000_000
    after = resident_memory()
    assert before is not None
    assert after is not None
    assert 25_000_000 < after - before < 500_000_000
    assert len(block) == 50_000_000
    monkeypatch.setattr(report, "STATM", tmp_path / "statm")
    assert resident_memory() is None
