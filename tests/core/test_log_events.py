"""Every log record has a code, so that programs need not match its text."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aioq import Aarq, JobContext
from aioq.backends import MemoryBroker
from tests.core.rig import drain

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "packages").glob("*/src/**/*.py"))
LEVELS = {"debug", "info", "warning", "error", "exception", "log"}


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a logger, with its place."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                owner = ast.unparse(node.func.value).lower()
                if owner == "ours" or owner.endswith("logger"):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def codes() -> set[str]:
    """Return all codes in the sources."""
    text = "\n".join(path.read_text() for path in SOURCES)
    calls = re.findall(
        r'"event": "(\w+)"|extra\("(\w+)"|warn_with_stack\(\s*"(\w+)"| = "((?:job|tick|worker)_\w+)"\n|logging\.\w+, "(\w+)"',
        text,
    )
    return {code for found in calls for code in found if code}


@pytest.mark.parametrize(("place", "call"), [pytest.param(*found, id=found[0]) for found in log_calls()])
def test_log_call_has_an_event(place: str, call: ast.Call) -> None:
    """A call of a logger passes `extra` with the code of what happened."""
    (extra,) = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "extra"] or [""]
    assert "event" in extra or extra.startswith("extra("), f"{place}: {ast.unparse(call)[:80]}"


def test_log_events_on_the_page_exist() -> None:
    """docs/workers.md names only codes that some record has."""
    page = (ROOT / "docs" / "workers.md").read_text()
    table = page[page.index("| `event` |") :].split("\n\n")[0]
    named = {code for row in table.splitlines()[2:] for code in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named
    assert named <= codes()


async def test_log_records_of_a_job_name_job_and_worker(caplog: pytest.LogCaptureFixture) -> None:
    """The record of a failed job has its code, the ids of job and worker, and the attempt."""
    app = Aarq(MemoryBroker())

    @app.task(name="fail")
    async def fail(ctx: JobContext) -> None:
        raise ValueError(ctx["worker_id"])

    job = await fail.enqueue()
    with caplog.at_level(logging.INFO, "aioq"):
        await drain(app)
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == "job_failed"]
    facts = {name: getattr(record, name) for name in ("job_id", "task", "queue", "attempt", "epoch")}
    assert facts == {"job_id": job.id, "task": "fail", "queue": "default", "attempt": 1, "epoch": 1}
    (started,) = [record for record in caplog.records if getattr(record, "event", "") == "worker_started"]
    assert record.worker_id == started.worker_id  # type: ignore[attr-defined]
    assert f"ValueError: {record.worker_id}" in record.getMessage()  # type: ignore[attr-defined]
