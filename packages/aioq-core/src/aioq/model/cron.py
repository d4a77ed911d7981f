"""Defines the values of cron entries and ticks that workers and a tick ledger exchange.

Durations are seconds. Moments are seconds since 1970-01-01T00:00:00Z on the broker's clock.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Literal, TypeAlias

from msgspec import Struct

from aioq.model.job import NewJob

__all__ = [
    "Attendance",
    "CronChanges",
    "CronCounts",
    "CronDefinition",
    "CronKey",
    "CronStatus",
    "Overlap",
    "Pause",
    "Registration",
    "TickClaim",
    "TickOutcome",
    "TickReason",
    "TickRecord",
    "TickReply",
    "TickRun",
    "TickStatus",
]

Overlap: TypeAlias = Literal["allow", "skip", "queue_one", "cancel"]
"""The policy for a tick that comes while an earlier run goes on."""


# Ordered, because lists of entries are sorted by queue and name.
class CronKey(Struct, frozen=True, order=True):
    """The identity of an entry: names are unique within a queue."""

    queue: str
    name: str


class CronDefinition(Struct, frozen=True, kw_only=True):
    """The definition of an entry in an app's code."""

    queue: str
    name: str
    kind: Literal["cron", "schedule"]
    """`cron` calls a function, `schedule` enqueues a job."""
    expression: str
    tz: str
    fingerprint: str
    """The meaning of the schedule as text. An entry with a new fingerprint starts without a past."""
    unique: bool = False
    """Whether it fires once per tick for the fleet; always true for a `schedule`."""
    enabled: bool = True
    # As text: a ledger and an older release can show and compare policies that they do not know.
    options: dict[str, str] = {}
    """Policies that differ from their defaults, as text by name. A `schedule` also has `job`, a digest of the
    arguments and options of its job."""

    @property
    def key(self) -> CronKey:
        """The identity of the entry."""
        return CronKey(self.queue, self.name)


class CronChanges(Struct, frozen=True, kw_only=True):
    """The entries that a registration changed, sorted by queue and name."""

    added: list[CronKey]
    changed: list[CronKey]
    """Entries with a new fingerprint."""
    removed: list[CronKey]


class Attendance(Struct, frozen=True, kw_only=True):
    """A worker's report that it is up and fires entries of its app once for the fleet."""

    worker_id: str
    fires: tuple[str, ...]
    """A version for each queue whose entries it fires: workers with an equal one fire equal entries of that queue.
    Letters and digits."""
    seconds: float
    """Seconds after the report for which the worker is taken to be up."""


class Registration(Struct, frozen=True, kw_only=True):
    """A ledger's answer to a worker that renews the registration of its app's version."""

    version: str
    """The version of the app that is registered or being registered; empty if none is: the worker registers its own."""
    now: float
    """The broker's clock."""
    paused: list[CronKey]
    """The app's entries that are paused."""
    present: dict[str, tuple[str, ...]] = {}
    """What each of the app's workers fires that are up, by worker id, also of workers of other versions. A ledger
    returns none if they are too many; then no worker is the favourite, and each claims after a delay of its own."""


class TickOutcome(Enum):
    """A ledger's decision on a tick claim."""

    WON = "won"
    LOST = "lost"
    """Another worker has claimed them, or a later tick."""
    EARLY = "early"
    """The tick is in the broker's future: claim it again when it has come."""
    PAUSED = "paused"
    """The entry is paused. The ticks are decided, and recorded as skipped."""
    BUSY = "busy"
    """An earlier run goes on and `overlap` is `skip`. The ticks are decided, and recorded as skipped."""
    QUEUED = "queued"
    """An earlier run goes on and `overlap` is `queue_one`: repeat the claim until the answer changes."""
    SUPERSEDED = "superseded"
    """The entry is registered with another schedule, disabled or retired. Nothing is decided."""


class TickClaim(Struct, frozen=True, kw_only=True):
    """A worker's claim of ticks of one entry that fires once for the whole fleet."""

    name: str
    queue: str
    ticks: tuple[float, ...]
    """In ascending order. Usually one; more if a worker makes up for ticks that did not fire."""
    fingerprint: str
    worker_id: str
    request_id: str
    """Repeating a claim with the same id returns the same answer, so that a lost answer loses no tick."""
    overlap: Overlap = "allow"
    run: float = 30.0
    """Seconds after its latest extension for which a run is taken to go on."""
    job: NewJob | None = None
    """A template: every tick that is won is enqueued as this job in the same step, with the id
    `cron:<name>:<milliseconds>` of `aioq.model.ids.tick_id`, in the claim's queue. The run lasts until the
    job ends."""
    payloads: tuple[bytes, ...] = ()
    """The payload of each tick's job, in the order of `ticks`, if the worker signs them; else that of `job`."""


class TickReply(Struct, frozen=True, kw_only=True):
    """A broker's answer to a `TickClaim`."""

    outcome: TickOutcome
    now: float
    """The broker's clock."""
    won: tuple[float, ...] = ()
    """With `won`: the claimed ticks that were not decided before."""
    previous: float | None = None
    """With `won`, `paused` and `busy`: the `last_tick` before the claim, if it was set under this fingerprint.
    The claimer must account for every tick between this one and its own."""


class TickRun(Struct, frozen=True, kw_only=True):
    """A run of a tick that was won, by the worker that won it."""

    name: str
    queue: str
    tick: float
    worker_id: str


class TickStatus(StrEnum):
    """The status of a tick."""

    FIRED = "fired"
    """Its run goes on, or its job was enqueued and has not ended."""
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    """A policy or an operator decided not to fire it."""
    MISSED = "missed"
    """No worker fired it."""


class TickReason(StrEnum):
    """Why a tick was skipped or missed, or why it fired out of turn. The values are stored and shown."""

    PAUSED = "paused"
    """Skipped: the entry is paused."""
    OVERLAP = "overlap"
    """Skipped: an earlier run was still going, or a newer tick took the place of this one in the wait for its end."""
    COALESCED = "coalesced"
    """Skipped: a newer tick that came due at the same time fired instead, as `misfire="once"` and `"skip"` say."""
    TOO_LATE = "too late"
    """Skipped: the tick was later than `grace`, as `misfire="skip"` says."""
    STOPPING = "stopping"
    """Skipped: the worker stopped before the tick's jitter or an earlier run had ended."""
    TOO_OLD = "older than catchup"
    """Missed: the tick came due earlier than `catchup` allows to make up for."""
    TOO_MANY = "more than 1,000 to make up for"
    """Missed: newer ticks used up the number of ticks that are made up for at once."""
    NO_WORKER = "no worker was up"
    """Missed: no worker claimed the tick."""
    BROKER_AWAY = "broker away"
    """Missed: the broker did not answer within `grace`."""
    BROKER_FULL = "broker full"
    """Missed: the broker had no room for the job of the tick within `grace`."""
    BY_HAND = "by hand"
    """Fired by `aioq cron run`."""
    BACKFILL = "backfill"
    """Fired by `aioq cron backfill`."""


class TickRecord(Struct, frozen=True, kw_only=True):
    """What happened to one tick, or to several consecutive ticks with the same status and reason.

    A ledger keeps one record per entry, tick and worker. A tick that became a job, was skipped or
    was missed has no worker, and one record for the fleet. Recording a tick again replaces its
    record and counts it once.
    """

    name: str
    queue: str
    tick: float
    """The last of the ticks, if `count` is above 1."""
    status: TickStatus
    reason: str = ""
    """A `TickReason`, or one that a newer version stored; empty for a tick that fired by itself."""
    count: int = 1
    worker_id: str = ""
    fired_at: float | None = None
    finished_at: float | None = None
    error: str = ""
    """The error of a failed run, in one line."""
    job_id: str | None = None
    result: bytes | None = None
    """The encoded result of the job of an `ok` tick. The ledger stores it only as the entry's latest result."""

    @property
    def late(self) -> float:
        """Seconds from the tick to its firing; 0 if it was not fired."""
        return 0.0 if self.fired_at is None else max(0.0, self.fired_at - self.tick)


class Pause(Struct, frozen=True, kw_only=True):
    """An order not to fire an entry until it is resumed."""

    note: str
    by: str
    at: float


class CronCounts(Struct, frozen=True, kw_only=True):
    """The number of ticks of an entry with each status, since the ledger knows the entry."""

    fired: int = 0
    """Includes ticks that are counted as `ok` or `failed`."""
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    """Without the coalesced ones."""
    missed: int = 0
    coalesced: int = 0
    """Skipped with `TickReason.COALESCED`."""


class CronStatus(Struct, frozen=True, kw_only=True):
    """What a ledger knows of one entry, without its tick history."""

    definition: CronDefinition
    app: str
    armed_at: float
    """When the entry got its fingerprint or was resumed, whichever is later. It owes no earlier tick."""
    last_tick: float | None = None
    """The latest tick that a claim decided, of an entry that fires once for the fleet. It never goes back."""
    pause: Pause | None = None
    retired_at: float | None = None
    """When a version of the app without the entry was registered."""
    last: TickRecord | None = None
    """The record of the latest tick."""
    last_success: float | None = None
    """The latest tick whose run ended `ok`."""
    last_result: bytes | None = None
    """What the job of that tick returned, encoded."""
    running: TickRun | None = None
    """The run of the latest tick, while it is extended or its job has not ended."""
    counts: CronCounts = CronCounts()
