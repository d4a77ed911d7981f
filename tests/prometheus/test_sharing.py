"""Several processes write into one folder, and each of them shows the metrics of all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import aioq_prometheus
from aioq.exporters import Exporter, SharingProvider, installed_provider
from aioq_prometheus import sharing
from tests.prometheus.conftest import Samples, nonzero, samples_of

PROCESS = """
import sys
import anyio
import aioq_prometheus
from aioq import Aarq, Worker
from aioq.backends import MemoryBroker

app = Aarq(MemoryBroker(), name="shop")
exporter = aioq_prometheus.exporter(app)


@app.task(name="work")
async def work(ctx) -> None: ...


async def play(jobs):
    async with app:
        await app.enqueue_many([work.call() for _ in range(jobs)])
        if jobs:
            await Worker(app, burst=True, handle_signals=False).run()
        return await exporter.render()


print(anyio.run(play, int(sys.argv[1])).decode())
"""


def run(folder: Path, jobs: int) -> tuple[int, Samples]:
    """Let a process run some jobs; return its id, and what it shows."""
    variables = aioq_prometheus.exporter.share(folder)
    command = [sys.executable, "-c", PROCESS, str(jobs)]
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.PIPE)
    text, _ = process.communicate()
    assert process.returncode == 0
    return process.pid, samples_of(text)


def files(folder: Path) -> Sequence[str]:
    """Return the names of the files with values."""
    return sorted(path.name for path in folder.glob("*.db"))


def test_entry_point_is_a_sharing_provider() -> None:
    """`aioq worker --health-port` finds the exporter, which implements the protocols."""
    provider = installed_provider()
    assert provider is aioq_prometheus.exporter
    assert isinstance(provider, SharingProvider)
    exporter: type[Exporter] = aioq_prometheus.PrometheusExporter
    assert exporter


def test_process_shows_the_counts_of_all(tmp_path: Path) -> None:
    """A process adds its counts to those of others, those that have ended included; each forgets its gauges."""
    pids = []
    for number, total in ((1, 1), (2, 3), (3, 6)):
        pid, found = run(tmp_path, number)
        pids.append(pid)
        assert nonzero(found["aioq_jobs_total"]) == {("completed", "default", "work"): total}
        assert found["aioq_job_duration_seconds_count"] == {("completed", "default", "work"): total}
        assert found["aioq_broker_up"] == {(): 1}
        aioq_prometheus.exporter.forget(tmp_path, pid)
        assert files(tmp_path) == ["counter_ended.db", "histogram_ended.db"]
    _, found = run(tmp_path, 0)
    assert nonzero(found["aioq_jobs_total"]) == {("completed", "default", "work"): 6}
    assert found["aioq_job_wait_seconds_count"] == {("default", "work"): 6}
    assert found["aioq_worker_slots"] == {(): 0}


def test_process_is_forgotten_later_if_another_one_reads(tmp_path: Path) -> None:
    """A process that reads at the moment is not waited for, and does not see counts twice."""
    first, _ = run(tmp_path, 1)
    with sharing._locked(tmp_path, shared=True):
        aioq_prometheus.exporter.forget(tmp_path, first)
        assert f"counter_{first}.db" in files(tmp_path)
        assert not [name for name in files(tmp_path) if name.startswith("gauge")]
    second, found = run(tmp_path, 1)
    assert nonzero(found["aioq_jobs_total"]) == {("completed", "default", "work"): 2}
    aioq_prometheus.exporter.forget(tmp_path, second)
    assert files(tmp_path) == ["counter_ended.db", "histogram_ended.db"]


def test_process_without_files_is_forgotten(tmp_path: Path) -> None:
    """A process may have ended before it imported anything."""
    aioq_prometheus.exporter.forget(tmp_path, 4711)
    assert files(tmp_path) == []


def test_sharing_without_locks_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system without these locks nothing is removed but gauges."""
    pid, _ = run(tmp_path, 1)
    monkeypatch.setattr(sharing, "sys", SimpleNamespace(platform="win32"))
    assert not sharing.forget_process(tmp_path, pid)
    assert files(tmp_path) == [f"counter_{pid}.db", f"histogram_{pid}.db"]
    (family,) = [one for one in sharing.SharedCollector(tmp_path).collect() if one.name == "aioq_jobs"]
    assert cast("Any", family).samples[0].value == 1
