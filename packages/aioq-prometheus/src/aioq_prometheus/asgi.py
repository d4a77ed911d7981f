"""Answers the requests of a Prometheus server in a web application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias, cast

from prometheus_client import make_asgi_app  # pyright: ignore[reportUnknownVariableType]

from aioq import Aarq
from aioq_prometheus.exposition import exporter_of

__all__ = ["metrics_app"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


def metrics_app(app: Aarq) -> ASGIApp:
    """Return an ASGI application that answers each request with the metrics of an app and all others of its registry.

    It does what `prometheus_client.make_asgi_app` does, and asks the broker before. An app that is not instrumented yet
    is, with the global registry.

    Raises:
        ValueError: The global registry has the metrics of another app.
    """
    exported = exporter_of(app)
    answer = cast("ASGIApp", make_asgi_app(exported.registry))  # pyright: ignore[reportUnknownVariableType]

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await exported.refresh()
        await answer(scope, receive, send)

    return serve
