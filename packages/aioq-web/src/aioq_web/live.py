"""Keeps open pages up to date by server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import blake2b
from typing import Final

import anyio
from starlette.responses import StreamingResponse

__all__ = ["live_response"]

INTERVAL: Final = 2.0
"""Seconds between two looks at what a page shows."""

BEAT: Final = 15.0
"""Seconds without a change after which a reader is told that the page is still live."""

MAX_LIFE: Final = 3_600.0
"""Seconds after which a reader has to connect again: access is decided anew."""


def live_response(render: Callable[[], Awaitable[str]]) -> StreamingResponse:
    """Return a response that sends a page again whenever it has changed.

    Args:
        render: Returns the part of the page that changes. An error of it is sent as "away", and it is called again.
    """
    return StreamingResponse(_events(render), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(render: Callable[[], Awaitable[str]]) -> AsyncIterator[str]:
    known, silent = b"", 0.0
    yield "retry: 3000\n\n"
    for _ in range(int(MAX_LIFE / INTERVAL)):
        try:
            html = await render()
        except Exception:
            known = b""
            yield _event("away", "")
        else:
            digest = blake2b(html.encode(), digest_size=16).digest()
            silent += INTERVAL
            if digest != known:
                known, silent = digest, 0.0
                yield _event("page", html)
            elif silent >= BEAT:
                silent = 0.0
                yield _event("beat", "")
        await anyio.sleep(INTERVAL)


def _event(kind: str, text: str) -> str:
    # As JSON: a line break would end the data of an event.
    return f"event: {kind}\ndata: {json.dumps(text)}\n\n"
