"""docs/metrics.md and the dashboard for Grafana name metrics that are exported."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any

import promql_parser
import pytest
from prometheus_client import CollectorRegistry

import aioq_prometheus
from aioq import Aarq
from aioq.backends import MemoryBroker
from tests.docs.fences import ROOT

PAGE = (ROOT / "docs" / "metrics.md").read_text("utf-8")
DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SUFFIXES = {"counter": "_total", "info": "_info"}
WIDTH = 24
"""Columns of a dashboard."""


@cache
def exported() -> Mapping[str, tuple[str, Collection[str]]]:
    """Return the type and the labels of each metric, by its name as a server shows it."""
    registry = CollectorRegistry()
    app = Aarq(MemoryBroker(), name="page")
    aioq_prometheus.instrument(app, registry=registry)
    found: dict[str, tuple[str, Collection[str]]] = {}
    collectors: list[Any] = list(registry._collector_to_names)
    for collector in collectors:
        for family in collector.describe():
            labels = collector._labelnames if hasattr(collector, "_labelnames") else family._labelnames
            found[f"{family.name}{SUFFIXES.get(family.type, '')}"] = family.type.replace("info", "gauge"), set(labels)
    found["aioq_info"] = "gauge", {"app", "version"}
    return found


def test_page_names_every_metric_with_type_and_labels() -> None:
    """The tables have a row for each metric, and no other."""
    rows = re.findall(r"^\| `(aioq_\w+)` \| (\w+) \| ([\w, ]*)\|", PAGE, re.MULTILINE)
    assert len(rows) == len({name for name, _, _ in rows})
    assert {name: (kind, set(re.findall(r"\w+", labels))) for name, kind, labels in rows} == exported()


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the expressions of the rules and of the panels, with what they belong to."""
    rules = PAGE.partition("## Alerts")[2]
    yield from re.findall(r"- alert: (\w+)\n +expr: (.+)$", rules, re.MULTILINE)
    for panel in PANELS:
        for target in panel.get("targets", ()):
            text = target["expr"].replace("$__rate_interval", "5m").replace("$queue", "mails")
            yield f"{panel['title']} {panel['id']} {target['refId']}", text


def selectors_of(text: str) -> list[promql_parser.VectorSelector]:
    """Return the selectors of metrics in an expression."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(text), visit)
    return found


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in expressions()])
def test_expression_selects_exported_metrics(text: str) -> None:
    """An expression is PromQL, and each metric and label in it is exported."""
    selectors = selectors_of(text)
    assert selectors
    used = set[str]()
    known = {"instance", "le"}
    for selector in selectors:
        name = selector.name or ""
        kind, labels = exported()[re.sub(r"_seconds_(bucket|sum|count)$", "_seconds", name)]
        assert (kind == "histogram") == name.endswith(("_bucket", "_sum", "_count"))
        assert (kind == "counter") == name.endswith("_total")
        used |= {matcher.name for matcher in selector.matchers.matchers}
        known |= set(labels)
    used |= {label for group in re.findall(r"by \(([\w, ]+)\)", text) for label in group.split(", ")}
    assert used <= known


def test_dashboard_has_places_for_its_panels() -> None:
    """Panels have ids of their own, a description and a legend, and do not lie upon each other."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells
        assert max(x for x, _ in cells) < WIDTH
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            assert all(
                target["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for target in panel["targets"]
            )


def test_dashboard_labels_are_in_the_legends() -> None:
    """A legend names labels that its expression leaves."""
    for panel in PANELS:
        for target in panel.get("targets", ()):
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert re.search(rf"by \([\w, ]*\b{label}\b", target["expr"]) or label == "instance", target
