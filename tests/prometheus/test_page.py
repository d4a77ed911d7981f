"""docs/metrics.md names the metrics that are exported, with their types and labels."""

from __future__ import annotations

import re
from typing import Any

from prometheus_client import CollectorRegistry

import aioq_prometheus
from aioq import Aarq
from aioq.backends import MemoryBroker
from tests.docs.fences import ROOT

PAGE = (ROOT / "docs" / "metrics.md").read_text("utf-8")
SUFFIXES = {"counter": "_total", "info": "_info"}


def exported() -> dict[str, str]:
    """Return the type of each metric, by its name as a server shows it."""
    registry = CollectorRegistry()
    app = Aarq(MemoryBroker(), name="page")
    aioq_prometheus.instrument(app, registry=registry)
    collectors: list[Any] = list(registry._collector_to_names)
    families = [family for collector in collectors for family in collector.describe()]
    return {
        f"{family.name}{SUFFIXES.get(family.type, '')}": family.type.replace("info", "gauge") for family in families
    }


def test_page_names_every_metric_with_its_type() -> None:
    """The tables have a row for each metric, and no other."""
    rows = re.findall(r"^\| `(aioq_\w+)` \| (\w+) \|", PAGE, re.MULTILINE)
    assert len(rows) == len(dict(rows))
    assert dict(rows) == exported()


def test_rules_name_metrics_that_are_exported() -> None:
    """Each metric in the rules for alerts is exported."""
    rules = PAGE.partition("## Alerts")[2]
    assert set(re.findall(r"aioq_\w+", rules)) <= exported().keys()
