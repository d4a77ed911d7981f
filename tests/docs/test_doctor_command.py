"""docs/cli.md shows the real output of `aioq doctor`, which depends on a server."""

from __future__ import annotations

from aioq.cli.doctor import findings_text, summary
from aioq.model.workers import WorkerInfo
from aioq_redis.doctor.host import about_clock, about_host
from aioq_redis.doctor.queues import QueueFacts, about_queue, about_workers
from aioq_redis.doctor.snapshot import read_snapshot
from tests.docs.fences import ROOT

MIB = 1 << 20


def test_cli_page_shows_doctor_output() -> None:
    """The page shows the output for a server that may evict jobs, and a queue without a worker."""
    server = about_host(
        {
            "valkey_version": "9.0.1",
            "uptime_in_seconds": "86400",
            "maxmemory": str(100 * MIB),
            "maxmemory_policy": "allkeys-lru",
            "used_memory": str(int(3.2 * MIB)),
            "aof_enabled": "1",
        },
        "",
    )
    workers = [
        WorkerInfo(id=id, queues=("default",), concurrency=10, running=n, hostname="h", pid=n, started_at=0.0)
        for n, id in enumerate(("a", "b"), 1)
    ]
    ids = [b"%d" % n for n in range(12)]
    nothing = [0]
    snapshot = read_snapshot(
        [b"0", [12, *ids], *[nothing] * 12, [0, 0, 0, 0], [[12, *ids], *[nothing] * 9], []]
    )  # fmt: skip
    queue = QueueFacts(name="mails", snapshot=snapshot, earliest=None, memory=int(4.1 * 1024))
    findings = [*server, about_clock(0.0, 0.002, 0.0), about_workers(workers), *about_queue(queue, workers)]
    lines = findings_text(findings, None).splitlines()
    page = (ROOT / "docs" / "cli.md").read_text()
    assert [line for line in lines if f"\n{line}\n" not in page] == []
    assert summary(findings) == "2 fail, 0 warn, 6 ok"  # the page has one more, of the keys
