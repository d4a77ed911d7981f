"""The dashboard as a part of another application."""

from __future__ import annotations

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from aioq_web import User, dashboard
from tests.web.site import Shop


async def test_mounted_dashboard_has_the_paths_of_its_place() -> None:
    """Below another path, all links and forms have that path."""
    outer = Starlette(routes=[Mount("/ops/queue", dashboard(Shop().app, access=lambda request: User("ada")))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://shop.example") as client:
        page = await client.get("/ops/queue/crons")
        assert page.status_code == 200
        assert 'href="/ops/queue/crons/reports/shop.close_the_books"' in page.text
        assert 'href="/crons' not in page.text
        entry = await client.get("/ops/queue/crons/reports/shop.close_the_books")
        assert entry.status_code == 200
