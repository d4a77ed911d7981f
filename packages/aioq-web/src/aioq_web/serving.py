"""Serves a dashboard on a port of its own."""

from __future__ import annotations

import uvicorn

from aioq import Aarq
from aioq_web.access import Access, User
from aioq_web.dashboard import dashboard

__all__ = ["serve"]


async def serve(
    app: Aarq, *, host: str, port: int, access: Access | None = None, local_user: User | None = None
) -> None:
    """Serve the dashboard of an app in the event loop of this call, until SIGINT or SIGTERM or until cancelled.

    Args:
        app: The app. This does not close it.
        host: The address to listen on.
        port: The port; 0 for any that is free.
        access: As for `dashboard`.
        local_user: As for `dashboard`.
    """
    site = dashboard(app, access=access, local_user=local_user)
    config = uvicorn.Config(
        site, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    await uvicorn.Server(config).serve()
