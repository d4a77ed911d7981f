"""The seams of aioq: what a broker, a scheduler, a schedule, a codec and a clock must do.

A third-party package implements one of these, names it in an entry point, and proves it
with the suites of `aioq.testing`. A broker implements `Broker`; what else it can do it
says by having the methods of `JobStore`, `WorkerRegistry`, `Signals`, `ThreadedLeases`,
`TickLedger` or `Diagnosable` too, and whoever needs one asks with `isinstance`.

Durations are seconds. Moments are seconds since 1970-01-01T00:00:00Z on the *broker's*
clock, so that workers whose own clocks disagree still agree on which lease has run out.

Every broker method may raise `BrokerUnavailable` when the store cannot be reached or is
not ready. Its effect is then unknown, and the caller repeats the very same call: enqueue
by job id, claim by request id and settle by epoch are built to be repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable
from zoneinfo import ZoneInfo

from anyio import Event

from aioq.cron import ClockChange, CronEntry, Tick
from aioq.findings import Finding
from aioq.job import (
    Claim,
    ClaimRequest,
    JobRecord,
    Lease,
    NewJob,
    QueueStats,
    Reaped,
    Settled,
    Settlement,
    WorkerInfo,
)
from aioq.states import JobState
from aioq.ticks import (
    Attendance,
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    TickClaim,
    TickRecord,
    TickReply,
    TickRun,
)

__all__ = [
    "Broker",
    "Clock",
    "Codec",
    "Diagnosable",
    "ExplainedSchedule",
    "JobStore",
    "LeaseKeeper",
    "Schedule",
    "Scheduler",
    "Signals",
    "ThreadedLeases",
    "TickLedger",
    "WorkerRegistry",
]

T = TypeVar("T")


@runtime_checkable
class Broker(Protocol):
    """Durable store of jobs, shared by every client and worker of a namespace.

    A job leaves the store only by the settlement that ends it: claiming moves it under a
    lease and loses nothing when the worker vanishes.

    An entry point of the group `aioq.brokers`, named for a URL scheme, is called with the
    URL and returns a broker, without waiting for anything; `BrokerConfigError` says that the
    URL will never do. Jobs are known by queue and id.
    """

    async def connect(self) -> None:
        """Open what is needed to serve the other calls. Connecting twice does nothing.

        Raises:
            BrokerUnavailable: Nobody answers at the address.
            BrokerConfigError: The address, the credentials or the store's settings are wrong.
        """
        ...

    async def close(self) -> None:
        """Let go of everything `connect` opened. Closing twice does nothing."""
        ...

    async def time(self) -> float:
        """Return the broker's clock."""
        ...

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs, all or none, and return for each whether it is new.

        A job whose id is known already is left as it stands and answered with False, so a
        repeated enqueue creates no second job. `run_at`, else `delay`, in the future makes
        it `scheduled`; it is otherwise `pending` and due at once.

        A call that was cancelled, or raised `BrokerUnavailable`, may have stored its jobs. Made
        again on the same object within a minute it stores none of them a second time: not even
        one that has ended by then and of which nothing is kept, where an answer can get lost on
        its way to the client. The repetition is answered as the first call would have been, or
        with False. To other objects, and later, a job of which nothing is kept is a new one.

        Raises:
            JobConflict: An id is known with another task or payload, and in one call or where the
                broker sees all queues at once also with another queue. Nothing is stored.
            BrokerFull: The store has no room. Nothing is stored.
        """
        ...

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease up to `request.limit` due jobs to `request.worker_id`. Does not wait.

        Queues are served in the order given. Within a queue a higher priority goes first,
        and equal priorities in the order in which the jobs came due. Each claim of a job
        adds one to its epoch and to its attempt; both are 1 at first. Request ids are the worker's
        own, and another worker's say nothing to it. Repeating the worker's latest `request_id`
        returns the leases of that request which it still holds, whatever the limit is by then,
        and takes no further jobs. So a repetition with a limit of 0 tells what a request took
        whose answer was lost, and has it take nothing if it comes later still.

        A job of `SUSPECT_AFTER` crashes or more is a suspect: perhaps it brings its workers down.
        It goes before the others, and only to a worker that holds nothing (`running` is 0), as
        the one lease of a claim that says `alone`. Other claims pass over it. One of the workers
        that do is told `alone` as well, and claims no more until it has become empty: so a
        suspect waits no longer than the jobs of one worker run, and a busy fleet goes on.
        Telling several workers is allowed; telling none is not. A suspect that only a busy worker
        could claim is no work in the sense of `Signals.wait_and_claim`.

        A record that cannot be read is moved to the dead jobs as `malformed`. One that has
        expired is leased like any other, with its `expires_at`: the worker does not start it.
        """
        ...

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Let leases run out `seconds` from now; return those that are lost.

        A lease is lost when it ran out and was reaped, when another worker has claimed the
        job since, when the job was cancelled, or when its id is by now that of another job. A
        lease that ran out and was not reaped yet is extended like any other.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write how attempts ended, each on its own; return what became of each.

        Only the epoch that holds the job may settle it: `STALE` answers all others, and those
        that are of an earlier job with the same id. A repeated settlement changes nothing and
        answers `ALREADY` as long as a record of the job is kept, `STALE` after that.
        """
        ...

    async def reap(self, queues: Sequence[str], *, limit: int = 100) -> list[Reaped]:
        """Return jobs whose lease ran out to the front of their priority; up to `limit` of them.

        The limit is that of all queues together. Each counts as a crash. Suspects line up in the
        order in which they are reaped, see `claim`. A job that reaches its `max_crashes` becomes
        dead with the reason `crashed`.
        """
        ...


@runtime_checkable
class JobStore(Protocol):
    """A broker that can be asked about its jobs. `Job.result` needs it."""

    async def get_job(self, job_id: str, *, queue: str | None = None) -> JobRecord | None:
        """Return what is known of a job; None when nothing is, or nothing is kept.

        Without `queue` every queue is searched.
        """
        ...

    async def list_jobs(self, queue: str, state: JobState, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return jobs of one queue in one state: waiting ones in the order in which they run.

        That is by the moment at which they come due as long as that lies ahead. In which order the
        others come is up to the broker.
        """
        ...

    async def queue_stats(self) -> list[QueueStats]:
        """Return the counts of every queue that has been used, sorted by name."""
        ...

    async def cancel_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Call a job off; False when it has ended or is unknown.

        A running job is `cancelled` at once: its lease is lost, and where the broker has
        `Signals` its worker is told.
        """
        ...

    async def retry_job(self, job_id: str, *, queue: str | None = None) -> bool:
        """Put a failed, cancelled, dead or expired job back in line with a fresh count of
        attempts and crashes; False when it is unknown or in another state.

        It comes due now, waits behind others of its priority, and is not forgotten before it has
        ended again. Its epochs go on, so its former leases stay worthless.
        """
        ...

    async def list_dead_jobs(self, queue: str, *, limit: int = 100, offset: int = 0) -> list[JobRecord]:
        """Return dead jobs, newest first."""
        ...


@runtime_checkable
class WorkerRegistry(Protocol):
    """A broker that knows which workers are up."""

    async def heartbeat(self, worker: WorkerInfo, *, ttl: float) -> None:
        """Say that a worker is up; it is forgotten `ttl` seconds after its last heartbeat."""
        ...

    async def deregister(self, worker_id: str) -> None:
        """Forget a worker now. Unknown ids are fine."""
        ...

    async def list_workers(self) -> list[WorkerInfo]:
        """Return the workers that are up, sorted by id."""
        ...


@runtime_checkable
class Signals(Protocol):
    """A broker that wakes those who wait. Without it workers and clients poll."""

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Wait until there is something to claim, and then do what `Broker.claim` does.

        Claims after `timeout` seconds at the latest, and may do so early for no reason: an empty
        claim is no error. Must not wait through a job that came due after the worker's latest
        claim found none. A caller that gets no answer, or calls it off, does not know whether
        the claim was made, and asks `Broker.claim` with a `limit` of 0.

        Args:
            idle: Set once the worker runs no job; None when it runs none. Before that the claim
                must be made by the waiting call itself, not by the store on its behalf: a job
                that blocks the event loop would keep others waiting that were claimed meanwhile.
        """
        ...

    async def wait_for_result(self, job_id: str, *, queue: str, timeout: float) -> bool:
        """Wait until a job ends; False after `timeout` seconds. True at once if it has ended.

        Every final state is an end, and so is it when nothing is kept of the job any more.
        """
        ...

    def aborts(self, worker_id: str) -> AsyncIterator[str]:
        """Yield the ids of this worker's running jobs as they are cancelled, until closed.

        A worker listens again when it ends or raises. What it misses until then it learns when the
        lease is next extended, so nothing of the past need be told, and nothing is wrong with
        telling it. A broker that is no `JobStore` has nothing to tell.
        """
        ...


class LeaseKeeper(Protocol):
    """Extends leases without an event loop, on a connection of its own. One thread uses it."""

    def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Do what `Broker.extend` does, while the calling thread waits: for 5 s at most.

        Raises:
            BrokerUnavailable: The store cannot be reached or is not ready; the same call may succeed later.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. Another thread may call it; an `extend` under way then fails."""
        ...


@runtime_checkable
class ThreadedLeases(Protocol):
    """A broker whose leases can be extended from a thread, while a task blocks the event loop.

    Without it they are extended in the loop, and a task that blocks it for longer than a lease
    loses its own. A broker that lives in the event loop itself has no need of it.
    """

    def keeper(self) -> LeaseKeeper:
        """Return a new one; it connects when it is first used. Does not wait."""
        ...


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

    async def attend(self, app: str, version: str, *, ttl: float) -> Attendance:
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


@runtime_checkable
class Diagnosable(Protocol):
    """A broker that can look for what is wrong with its store. `aioq doctor` needs it."""

    async def diagnose(self) -> list[Finding]:
        """Look at the store, its settings and what is in it, and return all that was looked at.

        Changes nothing, may be asked while workers run, and takes a bounded time however much
        is stored. What the user of the store may not look at is a finding too, and no error.
        """
        ...


@runtime_checkable
class Schedule(Protocol):
    """When something happens: pure, with no clock inside. Anybody may write one."""

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment strictly after `instant`, in UTC; None when there is none.

        `instant` is aware. The same instant always gives the same answer.
        """
        ...


@runtime_checkable
class Scheduler(Protocol):
    """Turns expressions into schedules and runs the loop that fires them.

    An entry point of the group `aioq.schedulers` is called without arguments and returns one.
    """

    def parse(self, expression: str, *, tz: str | ZoneInfo | None = None) -> Schedule:
        """Return the schedule that `expression` means in `tz` (UTC when None).

        Raises:
            ValueError: The expression or the zone is not understood, or can never fire.
        """
        ...

    async def run(self, entries: Sequence[CronEntry], fire: Callable[[Tick], None], *, clock: Clock) -> None:
        """Call `fire` for every tick of `entries`, until cancelled.

        The first tick of an entry is the first one after the start. A tick is never fired
        before `clock` says that it has come, and never twice. Of several that have come due
        together (the clock stepped, the loop was blocked) an entry fires once, the newest with
        the oldest as its `first`: what is to become of them is for `fire` to decide. `fire`
        returns at once. A schedule that raises disables its entry, with one log line, and no
        other.
        """
        ...


@runtime_checkable
class ExplainedSchedule(Schedule, Protocol):
    """A schedule that can say itself in words. `aioq cron explain` needs it."""

    def in_words(self) -> str:
        """Return when it fires, as a person would say it: "at 09:00 on Monday to Friday"."""
        ...

    def clock_changes(self, start: datetime, end: datetime) -> list[ClockChange]:
        """Return the moments in [start, end) at which clocks are put forward or back, in order,
        and what that does to this schedule. Empty for a schedule that no clock change touches.
        """
        ...


class Codec(Protocol):
    """Values to bytes and back, for arguments and results."""

    def encode(self, value: object) -> bytes:
        """Return `value` as bytes.

        Raises:
            SerializationError: It cannot be represented; names the path to the offender.
        """
        ...

    def decoder(self, type: Any) -> Callable[[bytes], Any]:
        """Return a function from bytes to a value of `type`, which may be any annotation.

        The function raises `SerializationError` when the bytes do not fit the type, naming
        the path. Bytes come from the network: nothing in them is ever executed.
        """
        ...


@runtime_checkable
class Clock(Protocol):
    """What time it is, and how to wait. Tests hand in a virtual one."""

    def time(self) -> float:
        """Return the wall clock, in seconds since 1970-01-01T00:00:00Z. It may step."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never steps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let others run for about `seconds`; may wake early."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Let others run until the wall clock shows about `moment`; may wake early.

        Wakes within about a second when the wall clock is set, so that the caller can look.
        """
        ...
