"""Reads the cron ledger of a fleet's broker."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from aioq.backends import RedisBroker
from aioq.model.cron import CronKey, CronStatus, TickRecord

__all__ = ["history", "statuses"]


def statuses(url: str, namespace: str) -> list[CronStatus]:
    """Return the status of every entry."""

    async def ask() -> list[CronStatus]:
        broker = RedisBroker(url, namespace=namespace)
        await broker.connect()
        try:
            return await broker.cron_statuses()
        finally:
            await broker.close()

    return anyio.run(ask)


def history(url: str, namespace: str, names: Sequence[str]) -> dict[str, list[TickRecord]]:
    """Return the latest tick records of entries of the default queue, by name; newest first."""

    async def ask() -> dict[str, list[TickRecord]]:
        broker = RedisBroker(url, namespace=namespace)
        await broker.connect()
        try:
            return {name: await broker.tick_history(CronKey("default", name)) for name in names}
        finally:
            await broker.close()

    return anyio.run(ask)
