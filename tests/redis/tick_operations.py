"""What can be asked of the broker about the ticks of one entry: how to get there, how to ask, and what must come of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aioq.model.cron import CronChanges, TickClaim, TickReply, TickRun
from aioq.model.job import NewJob
from aioq.model.states import JobState
from aioq_redis import RedisBroker
from aioq_redis.storage.scripts import load
from tests.redis.job_helpers import job
from tests.redis.tick_helpers import KEY, bid, entry, record, run_of

__all__ = ["TICK_OPERATIONS", "TickOperation"]

ALONE = (("won", 1),)
TOGETHER = (("won", 2), ("won", 1))
OTHER = entry("other").key

Told = tuple[str, str, str]
"""Pause, run and records of the entry, in words."""


@dataclass(frozen=True)
class TickOperation:
    """One call of the broker; see `Operation`.

    Attributes:
        atomic: Whether it is one step; if not, a part of it may have been done when another part is refused.
    """

    name: str
    script: str
    prepare: Callable[[RedisBroker], Awaitable[Any]]
    call: Callable[[RedisBroker, Any], Awaitable[Any]]
    answers: tuple[Any, ...]
    seen_before: Told
    seen_after: Told
    atomic: bool = True
    leaves_work: bool = False

    @property
    def word(self) -> bytes:
        """What is in the command, and in no other."""
        return load(self.script).sha.encode()

    @staticmethod
    async def seen(broker: RedisBroker) -> Told:
        """Return what is known of the entry, and how many jobs there are of it."""
        status, history = await broker.cron_status(KEY), await broker.tick_history(KEY)
        jobs = len(await broker.list_jobs("q", JobState.PENDING))
        told = " ".join(f"{record.status.value}{'+job' * (record.job_id is not None)}" for record in history)
        if status is None:
            return "unknown", "", told
        pause = "paused" if status.pause else "retired" if status.retired_at else "known"
        run = f"{status.counts.fired} fired, {'running' if status.running else 'idle'}, {jobs} jobs"
        return pause, run, told


async def nothing(_: RedisBroker) -> None:
    """Leave the entry unknown."""


async def registered(broker: RedisBroker) -> None:
    """Register it, and another."""
    await broker.register_crons("app", "1", [entry(), entry("other")], ttl=600)


async def due(broker: RedisBroker) -> TickClaim:
    """Return a bid for one of its ticks."""
    await registered(broker)
    return bid(round(await broker.time() + 0.5, 3))


async def due_as_job(broker: RedisBroker) -> TickClaim:
    """Return a bid for a tick that becomes a job. Its queue is known, so that nothing else is sent."""
    await registered(broker)
    await broker.enqueue([job("later", delay=600.0)])
    template: NewJob = job("template")
    return bid(round(await broker.time() + 0.5, 3), job=template)


async def due_together(broker: RedisBroker) -> list[TickClaim]:
    """Return bids for ticks of both."""
    await registered(broker)
    now = await broker.time()
    return [bid(round(now + 0.4, 3), round(now + 0.5, 3)), bid(round(now + 0.5, 3), name="other")]


async def won(broker: RedisBroker) -> TickRun:
    """Win a tick."""
    claim = await due(broker)
    await broker.claim_tick(claim)
    return run_of(claim.ticks[0])


async def paused(broker: RedisBroker) -> None:
    """Pause it."""
    await registered(broker)
    await broker.pause_cron(KEY, note="", by="me")


def answered(*replies: TickReply) -> tuple[tuple[str, int], ...]:
    """Return what bids got."""
    return tuple((reply.outcome.value, len(reply.won)) for reply in replies)


async def claim_one(broker: RedisBroker, claim: TickClaim) -> tuple[tuple[str, int], ...]:
    """Make a bid."""
    return answered(await broker.claim_tick(claim))


async def claim_many(broker: RedisBroker, claims: Sequence[TickClaim]) -> tuple[tuple[str, int], ...]:
    """Make bids in one step."""
    return answered(*await broker.claim_ticks(claims))


async def end(broker: RedisBroker, run: TickRun) -> None:
    """Record how a run ended."""
    await broker.record_ticks([record(run.tick, finished_at=run.tick + 1)])


async def renew_registration(broker: RedisBroker, _: object) -> str:
    """Say that a worker is up."""
    return (await broker.renew_registration("app", "1", ttl=600)).version


async def names(broker: RedisBroker, _: object) -> list[str]:
    """Return which entries there are."""
    return [status.definition.name for status in await broker.cron_statuses("app")]


async def name(broker: RedisBroker, _: object) -> str:
    """Return what an entry is called."""
    status = await broker.cron_status(KEY)
    return status.definition.name if status else ""


def deploying(script: str) -> TickOperation:
    """Return the registration, which takes several scripts."""
    new = CronChanges(added=[OTHER, KEY], changed=[], removed=[])
    return TickOperation(
        f"register_crons, {script}", script, nothing,
        lambda b, _: b.register_crons("app", "1", [entry(), entry("other")], ttl=600), (new,), UNKNOWN, KNOWN,
        atomic=False,
    )  # fmt: skip


UNKNOWN: Told = ("unknown", "", "")
KNOWN: Told = ("known", "0 fired, idle, 0 jobs", "")
FIRED: Told = ("known", "1 fired, running, 0 jobs", "fired")
PAUSED: Told = ("paused", "0 fired, idle, 0 jobs", "")
TICK_OPERATIONS = [
    TickOperation("claim_tick", "claim_ticks", due, claim_one, (ALONE,), KNOWN, FIRED),
    TickOperation(
        "claim_tick with a job", "claim_ticks", due_as_job, claim_one, (ALONE,), KNOWN,
        ("known", "1 fired, running, 1 jobs", "fired+job"), leaves_work=True,
    ),
    TickOperation(
        "claim_ticks", "claim_ticks", due_together, claim_many, (TOGETHER,), KNOWN,
        ("known", "2 fired, running, 0 jobs", "fired fired"),
    ),
    TickOperation("extend_runs", "extend_runs", won, lambda b, run: b.extend_runs([run], seconds=60), ([],), FIRED, FIRED),
    TickOperation("record_ticks", "record_ticks", won, end, (None,), FIRED, ("known", "1 fired, idle, 0 jobs", "ok")),
    TickOperation(
        "pause_cron", "pause_cron", registered, lambda b, _: b.pause_cron(KEY, note="", by="me"), (True, False), KNOWN,
        PAUSED,
    ),
    TickOperation(
        "pause_cron, told to workers", "announce_pause", registered, lambda b, _: b.pause_cron(KEY, note="", by="me"),
        (True, False), KNOWN, PAUSED, atomic=False,
    ),
    TickOperation("resume_cron", "resume_cron", paused, lambda b, _: b.resume_cron(KEY), (True, False), PAUSED, KNOWN),
    *map(deploying, ("register_app", "register_crons", "open_version")),
    TickOperation("renew_registration", "renew_registration", registered, renew_registration, ("1",), KNOWN, KNOWN),
    TickOperation("cron_statuses", "cron_status", registered, names, (["other", "report"],), KNOWN, KNOWN),
    TickOperation("cron_status", "cron_status", registered, name, ("report",), KNOWN, KNOWN),
]  # fmt: skip
