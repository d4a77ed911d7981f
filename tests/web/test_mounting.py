"""The dashboard as a part of another application."""

from __future__ import annotations

from typing import Any

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


def in_process(shop: Shop, **options: Any) -> httpx.AsyncClient:
    """Return a client of a dashboard that answers every request, without a server."""
    site = dashboard(shop.app, access=lambda request: User("ada"), **options)
    return httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://shop.example")


async def test_names_of_secrets_can_be_replaced() -> None:
    """An app that has other secrets names them, and only these are hidden."""
    shop = Shop()
    await shop.send.enqueue("ada@example.org", token="hush")
    async with in_process(shop, mask=["TO"]) as client:
        page = (await client.get("/jobs")).text
    assert "ada@example.org" not in page
    async with in_process(shop, mask=[]) as client:
        page = (await client.get("/jobs")).text
    assert "ada@example.org" in page
    assert "hush" in page


async def test_search_says_what_it_has_looked_at() -> None:
    """A search looks at a bounded number of jobs, and says so if there are more."""
    shop = Shop()
    async with in_process(shop) as client:
        await shop.app.enqueue_many([shop.export.call("x") for _ in range(1_500)])
        assert "were searched" not in (await client.get("/jobs?q=nothing")).text
        await shop.app.enqueue_many([shop.export.call("x") for _ in range(600)])
        assert "Only the first 2,000 jobs" in (await client.get("/jobs?q=nothing")).text
        assert "were searched" not in (await client.get("/jobs")).text
