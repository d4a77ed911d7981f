"""A shop whose jobs end in every way, for the dashboard of `aioq demo --web`."""

from __future__ import annotations

import random
from datetime import timedelta
from importlib import import_module
from itertools import count
from typing import Any, Final

import anyio

from aioq.app import Aarq
from aioq.backends.memory import MemoryBroker
from aioq.context import CronContext, JobContext
from aioq.worker import Worker

__all__ = ["DemoShop"]

PAUSE: Final = 0.5
"""Seconds between two customers."""


class DemoShop:
    """An app on the memory broker whose customers, workers and crons keep it busy.

    Raises:
        DiscoveryError: aioq-cron is not installed; says what to install.
    """

    def __init__(self) -> None:
        self.app = Aarq(MemoryBroker(), name="shop", tz="Europe/Berlin")
        task = self.app.task
        self._receipt = task(name="shop.send_receipt", queue="mails", retries=2, retry_delay=5.0)(self._send_receipt)
        self._charge = task(name="shop.charge_card")(self._charge_card)
        self._sync = task(name="shop.sync_inventory", queue="imports", retries=3, retry_delay=20.0)(
            self._sync_inventory
        )
        self._export = task(name="shop.export_orders", queue="exports")(self._send_receipt)
        self._add_crons()

    async def run(self) -> None:
        """Run customers and workers until cancelled. No worker consumes the queue `exports`: the dashboard says so."""
        queues = [queue for queue in self.app.queues if queue != "exports"]
        async with self.app, anyio.create_task_group() as parts:
            for name in ("shop-1", "shop-2"):
                parts.start_soon(Worker(self.app, queues=queues, id=name, handle_signals=False, grace=0.0).run)
            parts.start_soon(self._buy)

    def _add_crons(self) -> None:
        add = self.app.cron
        # By name, because core must not import the package. It is installed: the app found it by its entry point.
        every = import_module("aioq_cron").Every
        add(every(timedelta(seconds=10)), name="shop.poll_carrier", unique=True)(self._poll_carrier)
        add("*/5 * * * *", name="shop.refresh_rates", unique=True)(self._do_little)
        add("0 9 * * 1-5", name="shop.open_new_york", tz="America/New_York", unique=True)(self._do_little)
        add("0 4 1 * *", name="shop.close_the_month", unique=True)(self._do_little)
        self.app.schedule(self._sync, every(timedelta(minutes=1)), name="shop.sync", args=(0,))

    async def _buy(self) -> None:
        for order in count(90_001):
            await self._charge.enqueue(order, token=f"card of {order}")
            await self._receipt.enqueue(order, f"customer{order}@example.org")
            if order % 7 == 0:
                await self._sync.enqueue(order % 50)
            if order % 20 == 0:
                await self._export.options(defer_by=30.0).enqueue(order, "books@example.org")
            await anyio.sleep(PAUSE)

    async def _charge_card(self, ctx: JobContext, order: int, *, token: str) -> str:
        await anyio.sleep(random.uniform(0.05, 0.4))
        if order % 23 == 0:
            raise ValueError("the bank has declined the card")
        return f"paid order {order}"

    async def _send_receipt(self, ctx: JobContext, order: int, to: str) -> str:
        await anyio.sleep(random.uniform(0.02, 0.2))
        if random.random() < 0.1:
            raise ConnectionError("451 mailbox temporarily unavailable")
        return f"sent to {to}"

    async def _sync_inventory(self, ctx: JobContext, page: int) -> int:
        await anyio.sleep(random.uniform(2, 20))
        if random.random() < 0.2:
            raise TimeoutError("the warehouse did not answer within 20 s")
        return page

    async def _poll_carrier(self, ctx: CronContext) -> None:
        await anyio.sleep(random.uniform(0.1, 1))
        if random.random() < 0.1:
            raise ConnectionError("the carrier closed the connection")

    async def _do_little(self, ctx: dict[str, Any]) -> None:
        await anyio.sleep(0.1)
