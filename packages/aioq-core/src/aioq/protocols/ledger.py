"""Defines the optional protocol of a broker that records the ticks of cron entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from aioq.model.cron import (
    Attendance,
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    Registration,
    TickClaim,
    TickRecord,
    TickReply,
    TickRun,
)

__all__ = ["TickLedger"]


@runtime_checkable
class TickLedger(Protocol):
    """A broker that decides which worker fires a tick, and records the ticks.

    `unique=True`, `Aarq.schedule`, pauses and the history of ticks need it. An entry is identified by its queue
    and name, and is created when a call first names it.
    """

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Make `crons` the entries of `app`, and `version` its version for the next `ttl` seconds.

        1. The newest registration replaces earlier ones.
        2. An entry that is new, was retired or disabled, or has another fingerprint is armed: its last tick
           becomes at least the broker's now, so that no earlier tick is owed.
        3. An entry of `app` that is not in `crons` is retired. Entries of other apps are not changed.
        4. Repeating a registration changes nothing but the `ttl`.
        """
        ...

    async def renew_registration(
        self, app: str, version: str, *, ttl: float, worker: Attendance | None = None
    ) -> Registration:
        """Keep `version` of `app` registered for another `ttl` seconds, if it is the registered version.

        1. While a version is being registered, the answer already names it, so that workers of the version before
           it do not register their own again.
        2. A `worker` is listed in the answers to all workers of the app until its `seconds` are over, whatever its
           version is. Its latest report counts.
        """
        ...

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide, in one step and on the broker's clock, whether a worker may fire ticks.

        The first rule that applies gives the outcome. `aioq.model.ledger.decide_claim` is the reference; a broker may
        call it. docs/writing-a-broker.md has the rules as a table.

        1. A repeated `request_id`: the same answer; a `QUEUED` claim is decided again, without rule 4.
        2. `SUPERSEDED`: the entry is retired, disabled, or registered with another fingerprint.
        3. `EARLY`: the claim's latest tick is more than 1 s ahead.
        4. `LOST`: no tick of the claim is after the last tick of the entry.
        5. `PAUSED`: the entry is paused. From this rule on, the claim moves the last tick.
        6. `BUSY` or `QUEUED`: an earlier run is going on, and `overlap` says so.
        7. `WON`: with a `job`, each tick that was won is enqueued, unless its job is known.

        Raises:
            BrokerFull: There is no memory for the job. `last_tick` is unchanged.
        """
        ...

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on up to 100 claims of different entries, independently; return the answers in the same order.

        If one claim cannot be decided, the call raises what `claim_tick` raises, and others may have been
        decided. The caller then repeats the claims one by one.
        """
        ...

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Extend runs to `seconds` from now; return the runs that another run has replaced."""
        ...

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Record the status of ticks. The latest 100 records of each entry are stored.

        1. A record with `finished_at` ends the run of its tick.
        2. A record of a tick that is older than all stored ones is not stored. The end of its run is counted.
        """
        ...

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Pause an entry until it is resumed; False if it was already paused.

        The note of the latest pause replaces an earlier one.
        """
        ...

    async def resume_cron(self, cron: CronKey) -> bool:
        """Resume an entry from its next tick; False if it was not paused."""
        ...

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Return the status of the entries of an app, or of all apps, sorted by queue and name.

        Entries that no app has registered are left out. An entry belongs to the app that registered it last.
        """
        ...

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return the status of one entry; None if no app has registered it."""
        ...

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Return the latest records of an entry, newest tick first."""
        ...
