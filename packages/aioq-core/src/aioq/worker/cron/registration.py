"""Registers the app's entries with the ledger, renews that, and learns which entries are paused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial

import anyio

from aioq.clock import BrokerClock
from aioq.cron import CronEntry
from aioq.cron.definition import CronDiff, compare, define, version_of
from aioq.errors import PartlyUnavailable
from aioq.model.cron import CronChanges, CronKey, Registration
from aioq.protocols import TickLedger
from aioq.worker.broker_retry import BrokerRetry
from aioq.worker.cron.claim_turns import ClaimTurns
from aioq.worker.log import logger, shown

__all__ = ["RegistrationDuty"]

RENEW_EVERY = 5.0
"""Seconds between two renewals."""

TTL = 30.0
"""Seconds after which a registered version of the app lapses if no worker renews it."""

MAX_LOGGED = 10
"""Entries whose names are in one line of the log."""


class RegistrationDuty:
    """Registers the app's entries at the start, and again when no version is registered any more.

    During a deploy two versions of an app are up together. The newest registration counts: a
    worker of the older version logs a warning once, and does not register its own again.
    """

    def __init__(
        self, app: str, entries: Iterable[CronEntry], turns: ClaimTurns, *, retry: BrokerRetry, clock: BrokerClock
    ) -> None:
        self._app = app
        self._turns = turns
        self._retry = retry
        self._clock = clock
        self._definitions = [define(entry) for entry in entries]
        self._version = version_of(self._definitions)
        self._newer_version = ""
        """The newer version that the worker has warned of."""
        self.paused: set[CronKey] = set()
        """The entries that were paused at the latest renewal."""
        self.registered = anyio.Event()
        """Set when the ledger has answered for the first time."""

    async def run(self, ledger: TickLedger, ask_time: Callable[[], Awaitable[float]]) -> None:
        """Register, and renew that until cancelled; `ask_time` returns the broker's time."""
        if await self._register(ledger):
            await self._start_early(ask_time)
        while True:
            await self._renew(ledger)
            # A pause reaches the entries that every worker fires by itself with the renewal, so within this time.
            await self._clock.sleep(RENEW_EVERY)

    async def _register(self, ledger: TickLedger) -> bool:
        """Register the entries; return whether a part of them could not be registered.

        Until all can be the version is not in force, and each renewal registers it again.
        """
        # The time to live decides how soon workers of the older version take over again if this one is rolled back.
        register = partial(ledger.register_crons, self._app, self._version, self._definitions, ttl=TTL)

        async def register_part() -> tuple[CronChanges, bool]:
            try:
                return await register(), False
            except PartlyUnavailable as error:
                return error.answer, True

        changes, in_part = await self._retry.call(register_part)
        _log_changes(self._app, changes)
        return in_part

    async def _start_early(self, ask_time: Callable[[], Awaitable[float]]) -> None:
        """Let entries fire before a renewal, which may be what cannot be reached.

        The ledger of an entry rejects the claims of a worker whose definition is not the registered one.
        """
        asked = self._clock.monotonic()
        with suppress(Exception):
            self._clock.heard(await ask_time(), asked)
            self.registered.set()

    async def _renew(self, ledger: TickLedger) -> None:
        asked = 0.0

        async def renew() -> Registration:
            nonlocal asked
            asked = self._clock.monotonic()
            worker = self._turns.attendance
            return await ledger.renew_registration(self._app, self._version, ttl=TTL, worker=worker)

        answer = await self._retry.call(renew)
        self._clock.heard(answer.now, asked)
        self._turns.heard(answer.present)
        # `LocalEntries` holds this set: change it in place.
        self.paused.clear()
        self.paused.update(answer.paused)
        self.registered.set()
        if not answer.version:  # the version has lapsed, or the broker lost its data
            await self._register(ledger)
        elif answer.version != self._version:
            await self._warn_of_newer_version(ledger, answer.version)
        else:
            self._newer_version = ""

    async def _warn_of_newer_version(self, ledger: TickLedger, version: str) -> None:
        """Log once for each newer version how its entries differ from those of this worker."""
        if version == self._newer_version:
            return
        self._newer_version = version
        away: Iterable[str] = ()
        try:
            statuses = await ledger.cron_statuses(self._app)
        except PartlyUnavailable as error:
            statuses, away = error.answer, error.away
        except Exception as error:
            statuses = await self._retry.repeat(partial(ledger.cron_statuses, self._app), after=error)
        registered = [status.definition for status in statuses if status.retired_at is None]
        mine = [definition for definition in self._definitions if definition.queue not in away]
        logger.warning(
            "a newer version of app %s is registered and replaces the entries of this worker: %s",
            self._app,
            _describe(compare(mine, registered)),
            extra={"event": "app_replaced"},
        )


def _log_changes(app: str, changes: CronChanges) -> None:
    for what, keys in (("new", changes.added), ("changed", changes.changed), ("retired", changes.removed)):
        if keys:
            logger.info(
                "cron entries of app %s that are %s: %s",
                app,
                what,
                _listed([key.name for key in keys]),
                extra={"event": "crons_registered"},
            )


def _describe(diff: CronDiff) -> str:
    parts = [
        ("it has another schedule or other policies for", [new.name for _, new in diff.changed]),
        ("it adds", [definition.name for definition in diff.added]),
        ("it lacks", [definition.name for definition in diff.removed]),
    ]
    return "; ".join(f"{what} {_listed(names)}" for what, names in parts if names) or "it has the same entries"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_LOGGED} more" if len(names) > MAX_LOGGED else ""
    return ", ".join(shown(name) for name in names[:MAX_LOGGED]) + more
