"""A dashboard in the process of the test, and the forms that a reader sends to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from aioq import Aarq
from aioq.model.statistics import JobOutcome, Step, period_of
from aioq_web import User, dashboard
from tests.web.site import ALL_RIGHTS

__all__ = ["Reader", "counted", "reading"]


class Reader:
    """A person with all rights, whose browser keeps cookies and follows redirections."""

    def __init__(self, app: Aarq, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client

    async def get(self, path: str, **query: str) -> str:
        """Return the text of a page."""
        return (await self.client.get(path, params=query)).text

    async def send(self, path: str, **fields: object) -> httpx.Response:
        """Send a form with the token of the browser; return the page that follows."""
        await self.client.get("/queues")
        data = {**fields, "token": self.client.cookies["aioq_token"]}
        return await self.client.post(path, data=data)


@asynccontextmanager
async def reading(app: Aarq) -> AsyncIterator[Reader]:
    """Open the dashboard of an app for a person that may change everything; the app is connected."""
    transport = httpx.ASGITransport(dashboard(app, access=lambda request: User("ada", ALL_RIGHTS)))
    async with app, httpx.AsyncClient(transport=transport, base_url="http://shop.example", follow_redirects=True) as it:
        yield Reader(app, it)


async def counted(app: Aarq, outcome: JobOutcome) -> int:
    """Return how many jobs the broker has counted under an outcome."""
    await app.counts.report()
    broker: Any = app.broker
    now = period_of(await broker.time(), Step.MINUTE)
    found = await broker.read_counts(step=Step.MINUTE, start=now - 600, end=now + 60)
    return sum(count.count for count in found if count.outcome is outcome)
