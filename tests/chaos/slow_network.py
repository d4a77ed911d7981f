"""A slow network in front of a server."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from anyio.from_thread import start_blocking_portal

from tests.redis.proxy import Proxy

__all__ = ["slow_network"]


@contextmanager
def slow_network(url: str, *, rate: float | None = None, delay: float = 0.0) -> Generator[str]:
    """Yield the URL of a proxy in front of a server, which runs in a thread of its own.

    Args:
        url: The URL of the server.
        rate: Bytes a second in each direction, all connections together.
        delay: Seconds by which each reply is late.
    """
    proxy = Proxy(url, rate=rate)
    proxy.delay = delay
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(proxy):
        yield proxy.url
