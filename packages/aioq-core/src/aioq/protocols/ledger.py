"""The optional protocol of a broker that records the ticks of cron entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from aioq.model.cron import (
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
    """A broker that lets a fleet agree on who fires a tick, and keeps what became of each.

    `unique=True`, `Aarq.schedule` and everything that looks back or steers need it. An
    entry is known by its queue and name; unknown ones come into being when they are first
    spoken of.
    """

    async def register_crons(
        self, app: str, version: str, crons: Sequence[CronDefinition], *, ttl: float
    ) -> CronChanges:
        """Make `crons` the entries of `app`, and `version` its version for the next `ttl` seconds.

        The newest registration wins. An entry that is new, was retired or disabled, or has
        another fingerprint than before, is armed: its mark is at least the broker's now, so it
        owes nothing of the past. An entry of `app` that is not among `crons` is retired; entries
        of other apps are left alone. Registering again what is registered changes nothing else.
        """
        ...

    async def renew_registration(self, app: str, version: str, *, ttl: float) -> Registration:
        """Say that a worker with `version` of `app` is up.

        If that is the registered version, it stays so for another `ttl` seconds. A version that
        is being registered is told to workers of others already, so that they do not take the
        one before it for lapsed.
        """
        ...

    async def claim_tick(self, claim: TickClaim) -> TickReply:
        """Decide, at once and on the broker's clock, whether a worker may fire ticks.

        The ledger keeps one mark per entry: the latest tick that was settled. Ticks are the same
        when they are of the same millisecond. In this order:

        1. A claim that has moved the mark, by its `request_id`, gets the answer that it got then.
           The latest is known for good, ten before it for two minutes, unless they have `overlap="cancel"`.
           If it is the latest and was `QUEUED`, it is decided anew, but for rule 4.
        2. An entry that is registered with another fingerprint, disabled or retired, is `SUPERSEDED`.
        3. A latest tick more than 1 s ahead of the broker's clock is `EARLY`.
        4. If none of the ticks is after the mark, all are `LOST`, whatever the fingerprint.
        5. The latest tick becomes the mark. A paused entry is `PAUSED` nevertheless.
        6. While an earlier run shows signs of life (for a job: has not ended), `overlap="skip"`
           is `BUSY`, and so is, for jobs, `queue_one` when that job has not been started. Without
           a job `queue_one` is `QUEUED`: of those who wait, the one with the latest tick is
           next, and the others are `LOST`.
        7. Any other is `WON`: `won` are the ticks after the old mark. The run of the latest
           takes the place of an earlier one. With a `job`, all of them are enqueued.

        A tick is recorded when it is fired, and when it is skipped because of a pause or an
        overlap; so is one whose worker waited and was passed by. A job that is known already
        is not enqueued again.

        Raises:
            BrokerFull: There is no room for the job. The ticks are not spent.
        """
        ...

    async def claim_ticks(self, claims: Sequence[TickClaim]) -> list[TickReply]:
        """Decide on up to 100 claims of different entries, each by itself, and return the answers in the same order.

        When one of them cannot be decided, the call raises what `claim_tick` raises, and some of
        the others may have been. Repeated one by one, each gets its own answer.
        """
        ...

    async def extend_runs(self, runs: Sequence[TickRun], *, seconds: float) -> list[TickRun]:
        """Show a sign of life of runs, good for `seconds`; return those that another run has replaced."""
        ...

    async def record_ticks(self, records: Sequence[TickRecord]) -> None:
        """Write down what became of ticks; the latest 100 of each entry are kept.

        A record with `finished_at` ends the run of its tick. Of a tick that is older than all
        that are kept nothing is written down any more; how its run ended is still counted.
        """
        ...

    async def pause_cron(self, cron: CronKey, *, note: str, by: str) -> bool:
        """Have an entry fire no more until it is resumed; False when it was paused already.

        The note of the latest pause is the one that is kept.
        """
        ...

    async def resume_cron(self, cron: CronKey) -> bool:
        """Have an entry fire again, from the next tick on; False when it was not paused."""
        ...

    async def cron_statuses(self, app: str | None = None) -> list[CronStatus]:
        """Return what is known of the entries of an app, or of all; by queue and name.

        Entries that no app has registered are left out. Of several apps that registered an
        entry it belongs to the latest.
        """
        ...

    async def cron_status(self, cron: CronKey) -> CronStatus | None:
        """Return what is known of one entry; None of one that no app has registered."""
        ...

    async def tick_history(self, cron: CronKey, *, limit: int = 100) -> list[TickRecord]:
        """Return the latest records of an entry, newest tick first."""
        ...
