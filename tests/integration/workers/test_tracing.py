"""A trace goes from a client to a worker in another process, with metrics of both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workers.conftest import StartWorker
from tests.integration.workers.processes import TIMEOUT

APP = """
import atexit
import aioq_otel
from aioq import JobContext, JobEvent
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
aioq_otel.instrument(app, tracer_provider=provider, meter_provider=MeterProvider([reader]))


@atexit.register
def report():
    metrics = json.loads(reader.get_metrics_data().to_json())
    spans = [json.loads(span.to_json()) for span in exporter.get_finished_spans()]
    name = "client" if Path(sys.argv[0]).name == "client.py" else "worker"
    Path(f"{name}.json").write_text(json.dumps({"spans": spans, "metrics": metrics}))


app.on(JobEvent.FAILED, lambda fact: emit("ended"))
app.on(JobEvent.COMPLETED, lambda fact: emit("ended"))


@app.task(name="fine")
def fine(ctx: JobContext) -> None:
    with provider.get_tracer("app").start_as_current_span("inside"):
        pass


@app.task(name="fails", retries=1, retry_delay=0)
async def fails(ctx: JobContext) -> None:
    raise ValueError("no such order")


@app.cron("@every 1s", name="sweep")
async def sweep(ctx) -> None:
    emit("swept")
"""

CLIENT = """
import asyncio
from tasks import app, fails, fine, provider


async def main():
    async with app:
        with provider.get_tracer("app").start_as_current_span("request"):
            await fails.enqueue()
            await app.enqueue_many([fine.call(), fine.call()])


asyncio.run(main())
"""


@pytest.fixture
def reports(
    tmp_path: Path, redis_url: str, namespace: str, write_tasks: Callable[[str], None], start_worker: StartWorker
) -> dict[str, Any]:
    """What a client and a worker have reported: two processes that share nothing but the server."""
    write_tasks(APP)
    (tmp_path / "client.py").write_text(CLIENT)
    environment = {**os.environ, "TEST_URL": redis_url, "TEST_NAMESPACE": namespace}
    client = [sys.executable, "client.py"]
    subprocess.run(client, cwd=tmp_path, env=environment, check=True, timeout=TIMEOUT, capture_output=True)
    worker = start_worker()
    worker.wait_for_event("ended", times=3)
    worker.wait_for_event("swept")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    return {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("client", "worker")}


def named(report: dict[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the spans whose names begin alike."""
    return [span for span in report["spans"] if span["name"].startswith(prefix)]


def counted(report: dict[str, Any], metric: str, key: str) -> dict[str, float]:
    """Return the values of a counter by one of its attributes."""
    found: dict[str, float] = {}
    for scope in report["metrics"]["resource_metrics"][0]["scope_metrics"]:
        for one in scope["metrics"]:
            for point in one["data"]["data_points"] if one["name"] == metric else []:
                name = point["attributes"].get(key, "")
                found[name] = found.get(name, 0) + point.get("value", point.get("count"))
    return found


def test_trace_goes_from_client_to_worker(reports: dict[str, Any]) -> None:
    """Runs are children of the enqueues in the other process, a retry is linked to its enqueue, ticks have own traces."""
    client, worker = reports["client"], reports["worker"]
    (request,) = named(client, "request")
    single, batch = named(client, "enqueue")
    assert {span["parent_id"] for span in (single, batch)} == {request["context"]["span_id"]}
    assert batch["attributes"]["messaging.batch.message_count"] == 2

    runs = named(worker, "run")
    assert {span["context"]["trace_id"] for span in runs} == {request["context"]["trace_id"]}
    fails = [span for span in runs if span["attributes"]["aioq.task"] == "fails"]
    assert [(span["attributes"]["aioq.attempt"], span["attributes"]["aioq.outcome"]) for span in fails] == [
        (1, "retried"),
        (2, "failed"),
    ]
    assert {span["parent_id"] for span in fails} == {single["context"]["span_id"]}
    assert [[link["context"]["span_id"] for link in span["links"]] for span in fails] == [
        [],
        [single["context"]["span_id"]],
    ]
    assert {span["status"]["status_code"] for span in fails} == {"ERROR"}

    fine = [span for span in runs if span["attributes"]["aioq.task"] == "fine"]
    assert {span["parent_id"] for span in fine} == {batch["context"]["span_id"]}
    inside = {span["parent_id"] for span in named(worker, "inside")}
    assert inside == {span["context"]["span_id"] for span in fine}

    ticks = named(worker, "tick sweep")
    assert ticks
    assert {span["parent_id"] for span in ticks} == {None}
    assert request["context"]["trace_id"] not in {span["context"]["trace_id"] for span in ticks}

    assert counted(client, "messaging.client.sent.messages", "aioq.task") == {"fails": 1, "fine": 2}
    assert counted(worker, "messaging.client.consumed.messages", "aioq.task") == {"fails": 2, "fine": 2}
    assert counted(worker, "aioq.job.outcomes", "aioq.outcome") == {"retried": 1, "failed": 1, "completed": 2}
    assert counted(worker, "aioq.cron.duration", "aioq.cron.name") == {"sweep": len(ticks)}
