"""How an app gets its metrics, and how they are rendered."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

import aioq_prometheus
from aioq import Aarq, JobContext, TickEvent, TickFact
from aioq.backends import MemoryBroker
from tests.prometheus.conftest import samples_of

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def anyio_backend() -> str:
    """The client of these tests leaves generators behind on trio."""
    return "asyncio"


@pytest.fixture
def client(app: Aarq) -> httpx.AsyncClient:
    """A Prometheus server."""
    transport = httpx.ASGITransport(aioq_prometheus.metrics_app(app))
    return httpx.AsyncClient(transport=transport, base_url="http://shop")


async def test_metrics_app_answers_with_both_formats(app: Aarq, client: httpx.AsyncClient) -> None:
    """The text format and OpenMetrics have the same values, with what the broker knows."""

    @app.task(name="t")
    async def task(ctx: JobContext) -> None: ...

    await task.enqueue()
    text = await client.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    openmetrics = await client.get("/metrics", headers={"accept": OPENMETRICS})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    found = samples_of(text.content)
    same = samples_of(openmetrics.content, openmetrics=True)
    varying = {"aioq_queue_latency_seconds"}
    assert {name: found[name] for name in found.keys() - varying} == {
        name: same[name] for name in same.keys() - varying
    }
    assert found["aioq_queue_jobs"]["default", "pending"] == 1


async def test_metrics_app_answers_with_chosen_names(app: Aarq, client: httpx.AsyncClient) -> None:
    """It can what the application of prometheus_client can: names, and compression."""
    answer = await client.get("/metrics", params={"name[]": "aioq_broker_up"}, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert samples_of(answer.content)["aioq_broker_up"] == {(): 1}


async def test_exporter_renders_metrics_of_the_application_as_well(app: Aarq, registry: CollectorRegistry) -> None:
    """An application adds metrics of its own to the registry."""
    Counter("orders", "Orders.", registry=registry).inc(3)
    exporter = aioq_prometheus.exporter(app)
    assert exporter.content_type.startswith("text/plain")
    assert samples_of(await exporter.render())["orders_total"] == {(): 3}
    assert samples_of(await exporter.render(OPENMETRICS), openmetrics=True)["orders_total"] == {(): 3}


def test_instrument_twice_is_refused(app: Aarq, registry: CollectorRegistry) -> None:
    """An app that was instrumented is named, and so is one whose registry is taken."""
    with pytest.raises(ValueError, match=r"app shop is instrumented already; call aioq_prometheus.instrument once"):
        aioq_prometheus.instrument(app)
    other = Aarq(MemoryBroker(), name="other")
    with pytest.raises(ValueError, match=r"has the metrics of another app; instrument app other with a registry of"):
        aioq_prometheus.instrument(other, registry=registry)
    aioq_prometheus.instrument(other, registry=CollectorRegistry())


async def test_names_stay_in_their_labels(app: Aarq) -> None:
    """A stored schedule of a foreign client may have any name: quotes and line ends are escaped."""
    hostile = 'a"} 7\naioq_broker_up 0\n{x="\\'
    app.events.fire(TickFact(event=TickEvent.FIRED, name=hostile, queue="q", tick=0.0, at=0.0, worker_id="w"))
    found = samples_of(await aioq_prometheus.exporter(app).render())
    assert found["aioq_cron_ticks_total"] == {(hostile, "fired", "q"): 1}
    assert found["aioq_broker_up"] == {(): 1}
