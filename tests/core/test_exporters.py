"""How the exporter of metrics is found that another package provides."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace
from typing import Any

import pytest

from aioq import Aarq, DiscoveryError, discovery, exporters
from aioq.discovery import EXPORTERS
from aioq.exporters import exporter_of, installed_provider

HERE = "tests.core.test_exporters"
NUMBER = 5


class TextExporter:
    """Says which app it is of."""

    content_type = "text/plain"

    def __init__(self, app: Aarq) -> None:
        self._app = app

    async def render(self) -> bytes:
        return self._app.name.encode()


def text_exporter(app: Aarq) -> TextExporter:
    """What an entry point names."""
    return TextExporter(app)


def no_exporter(_: Aarq) -> object:
    """What an entry point should not name."""
    return object()


def failing(_: Aarq) -> TextExporter:
    """What an entry point names that does not like the app."""
    raise ValueError("the registry has the metrics of another app")


def install(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Pretend that just these entry points of the group are installed, by name."""
    made = [EntryPoint(name, value, EXPORTERS) for name, value in points.items()]
    for point in made:
        vars(point).update(dist=SimpleNamespace(name=f"aioq-{point.name}"))

    def entry_points(**chosen: Any) -> EntryPoints:
        return EntryPoints(made).select(**chosen)

    for module in (discovery, exporters):
        monkeypatch.setattr(module, "entry_points", entry_points)


@pytest.mark.anyio
async def test_installed_exporter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider of an installed package makes the exporter of an app."""
    app = Aarq(name="shop")
    install(monkeypatch, text=f"{HERE}:text_exporter")
    provider = installed_provider()
    assert provider is not None
    exporter = exporter_of(app, provider)
    assert (exporter.content_type, await exporter.render()) == ("text/plain", b"shop")


def test_no_exporter_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an installed package there is no provider."""
    install(monkeypatch)
    assert installed_provider() is None


def test_several_exporters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two installed exporters are an error that names both."""
    install(monkeypatch, text=f"{HERE}:text_exporter", other=f"{HERE}:no_exporter")
    with pytest.raises(DiscoveryError, match="several exporters of metrics are installed: other, text; uninstall all"):
        installed_provider()


def test_entry_point_that_is_no_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what the entry point names."""
    install(monkeypatch, text=f"{HERE}:NUMBER")
    with pytest.raises(DiscoveryError, match=r"test_exporters:NUMBER is no function that returns an exporter"):
        installed_provider()


def test_provider_that_makes_no_exporter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what the exporter lacks."""
    app = Aarq()
    install(monkeypatch, text=f"{HERE}:no_exporter")
    provider = installed_provider()
    assert provider is not None
    with pytest.raises(DiscoveryError, match="makes no exporter but object: .* has content_type, render, too"):
        exporter_of(app, provider)


def test_provider_that_raises_is_an_error_in_one_line() -> None:
    """The error names the app and the reason, so that `aioq worker` ends with one line."""
    text = (
        "^the installed exporter of metrics cannot be used with app shop: the registry has the metrics of another app$"
    )
    with pytest.raises(DiscoveryError, match=text):
        exporter_of(Aarq(name="shop"), failing)
