"""Tells the ledger that this worker is up, and with which entries; learns what is paused."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import anyio

from aioq.clock import BrokerClock
from aioq.cron import CronEntry
from aioq.cron.definition import CronDiff, compare, define, version_of
from aioq.model.cron import CronChanges, CronKey, Registration
from aioq.protocols import TickLedger
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.log import logger, shown

__all__ = ["Attendance"]

EVERY = 5.0
"""Seconds between two signs of life."""

TTL = 30.0
"""Seconds after which a version of the app that nobody attends to lapses."""

SHOWN = 10
"""Entries that are named in a line of the log."""


class Attendance:
    """Registers the app's entries at the start, and whenever no version is registered any more.

    Two versions of an app are up together during a deploy. The newest registration counts: a
    worker of the older version sees that, says so once, and leaves it at that.
    """

    def __init__(self, app: str, entries: Iterable[CronEntry], retry: BrokerRetry, clock: BrokerClock) -> None:
        self._app, self._retry, self._clock = app, retry, clock
        self._definitions = [define(entry) for entry in entries]
        self._version = version_of(self._definitions)
        self._superseded = ""
        self.paused: set[CronKey] = set()
        self.registered = anyio.Event()

    async def run(self, ledger: TickLedger) -> None:
        """Attend until cancelled."""
        await self._register(ledger)
        while True:
            await self._attend(ledger)
            await self._clock.sleep(EVERY)

    async def _register(self, ledger: TickLedger) -> None:
        register = partial(ledger.register_crons, self._app, self._version, self._definitions, ttl=TTL)
        _tell(self._app, await self._retry.call(register))

    async def _attend(self, ledger: TickLedger) -> None:
        asked = 0.0

        async def attend() -> Registration:
            nonlocal asked
            asked = self._clock.monotonic()
            return await ledger.renew_registration(self._app, self._version, ttl=TTL)

        answer = await self._retry.call(attend)
        self._clock.heard(answer.now, asked)
        self.paused.clear()
        self.paused.update(answer.paused)
        self.registered.set()
        if not answer.version:
            await self._register(ledger)
        elif answer.version != self._version:
            await self._give_way(ledger, answer.version)
        else:
            self._superseded = ""

    async def _give_way(self, ledger: TickLedger, version: str) -> None:
        """Say once how the entries of the newer registration differ from those of this worker."""
        if version == self._superseded:
            return
        self._superseded = version
        statuses = await self._retry.call(partial(ledger.cron_statuses, self._app))
        registered = [status.definition for status in statuses if status.retired_at is None]
        logger.warning(
            "another version of app %s has been registered since, and counts: %s",
            self._app,
            _in_words(compare(self._definitions, registered)),
        )


def _tell(app: str, changes: CronChanges) -> None:
    for what, keys in (("new", changes.added), ("changed", changes.changed), ("retired", changes.removed)):
        if keys:
            logger.info("cron entries of app %s that are %s: %s", app, what, _listed([key.name for key in keys]))


def _in_words(diff: CronDiff) -> str:
    parts = [
        ("it has another schedule or other policies for", [new.name for _, new in diff.changed]),
        ("it adds", [definition.name for definition in diff.added]),
        ("it lacks", [definition.name for definition in diff.removed]),
    ]
    return "; ".join(f"{what} {_listed(names)}" for what, names in parts if names) or "it has the same entries"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(shown(name) for name in names[:SHOWN]) + more
