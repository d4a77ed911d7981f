"""Keeps open pages up to date by server-sent events."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final

import anyio
from starlette.responses import StreamingResponse

from aioq.clock import Clock, SystemClock
from aioq.errors import BrokerUnavailable
from aioq_web.view import NotFound

__all__ = ["INTERVAL", "Live", "Pace"]

logger = logging.getLogger("aioq.web")

INTERVAL: Final = 2.0
"""Seconds between two looks at what a page shows, if that is cheap."""

SLOWEST: Final = 15.0
"""Seconds between two looks, however dear they are."""

SHARE: Final = 0.01
"""The part of the time that all open pages together may take."""

BEAT: Final = 15.0
"""Seconds without a change after which a reader is told that the page is still live."""

MAX_LIFE: Final = 3_600.0
"""Seconds after which a reader has to connect again: access is decided anew."""

TIMEOUT: Final = 5.0
"""Seconds within which a page must be there; else its reader is told that the broker is away."""


class Pace:
    """Decides how often open pages are updated: less often if there are many, or if they are dear."""

    def __init__(self) -> None:
        self._open = 0

    @contextmanager
    def opened(self) -> Generator[None]:
        """Count a page as open inside the block."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def pause(self, cost: float) -> float:
        """Return the seconds to wait after an update of one page that has taken `cost` seconds."""
        return min(max(INTERVAL, cost * self._open / SHARE), SLOWEST)


class Live:
    """Sends pages again whenever they have changed.

    Args:
        version: Changes when the dashboard is another one: an open page loads itself anew then.
    """

    def __init__(self, version: str, clock: Clock | None = None) -> None:
        self._version = version
        self._clock = clock or SystemClock()
        self._pace = Pace()

    def response(self, render: Callable[[], Awaitable[tuple[str, float]]]) -> StreamingResponse:
        """Return a response that has an event for each change of a page.

        Args:
            render: Returns the part of the page that changes, and the seconds that it took without waiting.
        """
        events = self._events(render)
        return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _events(self, render: Callable[[], Awaitable[tuple[str, float]]]) -> AsyncIterator[str]:
        yield f"retry: 3000\n{_event('version', self._version)}"
        known, said_at, cost = b"", self._clock.monotonic(), 0.0
        end = said_at + MAX_LIFE
        with self._pace.opened():
            while self._clock.monotonic() < end:
                kind, html = "away", ""
                try:
                    with anyio.fail_after(TIMEOUT):
                        html, cost = await render()
                    kind = "page"
                except NotFound as error:
                    yield _event("gone", str(error))
                    return
                except (BrokerUnavailable, TimeoutError):
                    pass
                except Exception:
                    logger.exception("a page could not be updated", extra={"event": "page_failed"})
                digest = blake2b(f"{kind}{html}".encode(), digest_size=16).digest()
                if digest != known or kind == "away":
                    known, said_at = digest, self._clock.monotonic()
                    yield _event(kind, html)
                elif self._clock.monotonic() - said_at >= BEAT:
                    said_at = self._clock.monotonic()
                    yield _event("beat", "")
                await anyio.sleep(self._pace.pause(cost))


def _event(kind: str, text: str) -> str:
    # As JSON: a line break would end the data of an event.
    return f"event: {kind}\ndata: {json.dumps(text)}\n\n"
