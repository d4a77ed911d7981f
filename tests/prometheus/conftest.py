"""An app with metrics on the memory broker, and what a Prometheus server reads of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

import aioq_prometheus
from aioq import Aarq
from aioq.testing import VirtualClock
from aioq_prometheus import broker_facts
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import PlainScheduler

Samples: TypeAlias = Mapping[str, Mapping[tuple[str, ...], float]]
"""Values by name of the sample and by its labels, in the order of their names."""


def nonzero(values: Mapping[tuple[str, ...], float]) -> Mapping[tuple[str, ...], float]:
    """Return the values that are not 0: a worker has counters for all tasks that it may run."""
    return {labels: value for labels, value in values.items() if value}


def samples_of(text: bytes, *, openmetrics: bool = False) -> Samples:
    """Return what a Prometheus server reads; a histogram as its `_count` and `_sum`."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    families: list[Metric] = list((read_openmetrics if openmetrics else read_text)(text.decode()))
    for family in families:
        for sample in family.samples:
            if "le" not in sample.labels and not sample.name.endswith("_created"):
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                assert labels not in found.setdefault(sample.name, {}), (sample.name, labels)
                found[sample.name][labels] = sample.value
    return found


@pytest.fixture
def clock() -> VirtualClock:
    """Time that passes when the test says so."""
    return VirtualClock()


@pytest.fixture
def broker(clock: VirtualClock) -> FlakyBroker:
    """A broker that the test can make go away."""
    return FlakyBroker(clock=clock)


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry of its own for each test."""
    return CollectorRegistry(auto_describe=True)


@pytest.fixture
def app(broker: FlakyBroker, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> Aarq:
    """An app with metrics, and without tasks. Each scrape asks the broker."""
    monkeypatch.setattr(broker_facts, "MAX_AGE", 0.0)
    monkeypatch.setattr(broker_facts, "SHARE", float("inf"))
    app = Aarq(broker, name="shop", scheduler=PlainScheduler())
    aioq_prometheus.instrument(app, registry=registry)
    return app


async def scrape(app: Aarq) -> Samples:
    """Return the samples of an app as they are now."""
    exporter = aioq_prometheus.exporter(app)
    return samples_of(await exporter.render())
