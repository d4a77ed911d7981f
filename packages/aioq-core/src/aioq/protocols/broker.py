"""Defines the protocol that every broker implements: a durable store of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from aioq.model.job import Claim, ClaimRequest, Lease, NewJob, Reaped, Settled, Settlement

__all__ = ["PROTOCOL_VERSION", "Broker"]

PROTOCOL_VERSION: Final = 1
"""The version of the protocols in `aioq.protocols`, as a whole number.

A release raises it by one if a broker of the version before would do something wrong: because of a new method or
parameter, or another rule. A new optional protocol does not raise it.
"""


@runtime_checkable
class Broker(Protocol):
    """A durable store of jobs, shared by all clients and workers of a namespace.

    A job leaves the store only by the settlement that ends it. A claim puts it under a lease, so that it is not
    lost if the worker vanishes. A job is identified by its queue and its id: jobs of two queues may have the same id,
    and no call confuses them.

    An entry point of the group `aioq.brokers` is named like a URL scheme. It is called with the URL and returns
    a broker without waiting for anything; it raises `BrokerConfigError` if the URL is invalid.

    To find the job that crashes its workers is optional. A broker that does it as `aioq.model.suspects` says has the
    attribute `finds_poison_jobs = True`. A broker that fills `JobRecord.attempts` has `stores_attempts = True`.
    """

    @property
    def protocol_version(self) -> int:
        """The version of the protocols that the broker implements: the number, not a reference to `PROTOCOL_VERSION`.

        `Aarq.connect` raises `BrokerConfigError` if it is not that of the installed `aioq-core`.
        """
        ...

    async def connect(self) -> None:
        """Open the connections that the other calls need. Connecting twice does nothing.

        Raises:
            BrokerUnavailable: The store does not answer.
            BrokerConfigError: The address, the credentials or the settings of the store are wrong.
        """
        ...

    async def close(self) -> None:
        """Close everything that `connect` opened. Closing twice does nothing."""
        ...

    async def time(self) -> float:
        """Return the broker's clock."""
        ...

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[bool]:
        """Store jobs, all or none, and return for each whether it is new.

        1. A job whose id is known in its queue is not changed, and its answer is False.
        2. A new job is `scheduled` if its `run_at`, or else its `delay`, lies in the future. Otherwise it is
           `pending`.
        3. A call that was cancelled or raised `BrokerUnavailable` may have stored its jobs. Repeating it on the
           same broker object within 60 s is idempotent, even for jobs that finished meanwhile and left no record.
           The answer is that of the first call, or False. In-process brokers, whose answers cannot get lost,
           need not do this.
        4. For other objects, and after 60 s, a job without a record is new.

        Raises:
            JobConflict: The id is known in the queue with another task or payload. Nothing is stored.
            BrokerFull: The store has no memory for the jobs. Nothing is stored.
        """
        ...

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease up to `request.limit` due jobs to a worker. Does not wait.

        docs/writing-a-broker.md has a table of the cases.

        1. Queues go in the given order, jobs of a queue by priority, and then in the order of their due times.
        2. Each claim of a job adds one to its epoch and to its attempt. Both are 1 for the first claim.
        3. A repeated `request_id` gets the leases of that request which are still held, and takes no job.
        4. An expired job is leased with its `expires_at`; the worker does not start it.
        5. A record that cannot be read becomes dead with the reason `malformed`.
        6. `Lease.wait` counts from the moment at which the job was due, and a repeated `request_id` gets the same.
        7. A broker that finds poison jobs asks `aioq.model.suspects.plan_claim`. For others `alone_for` is 0.
        """
        ...

    async def extend(self, leases: Sequence[Lease], *, seconds: float) -> list[Lease]:
        """Set the deadline of leases to `seconds` from now; return the leases that are lost.

        1. A lease is lost if it was reaped, if the job was claimed again or cancelled, if its id now belongs to
           another job, or if the store knows another worker as its holder.
        2. A lease that ran out but was not reaped is extended like any other.
        3. The call is a sign of life of a worker of the queues of the leases; see `reap`.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Write the outcomes of attempts, independently of each other; return an answer for each.

        1. Only the epoch and worker that hold the job may settle it: `DONE`.
        2. A repeated settlement changes nothing. Its answer is `ALREADY` as long as the broker has a record of
           the job, and `STALE` after that.
        3. Every other settlement is `STALE`, also that of an earlier job with the same id, and that of another
           worker with the same epoch.
        4. `Released` and `HandedBack` take the attempt off again. `HandedBack` adds one to the hand-backs of the job;
           a retry, a crash, a replay, and a release with `started` set them to 0.
        """
        ...

    async def reap(self, queues: Sequence[str], *, lease: float = 30.0, limit: int = 100) -> list[Reaped]:
        """Take back up to `limit` leases of each queue that ran out; return their jobs.

        A worker calls this three times per lease, `lease` being the length of its own leases in seconds.

        1. Each reaped lease counts as a crash of the job. A broker that finds poison jobs counts as
           `aioq.model.suspects.after_crash` says.
        2. The job becomes `pending`, in front of jobs of its priority.
        3. A job that reaches its `max_crashes` becomes dead with the reason `crashed`, in a broker that finds poison
           jobs only if it ran alone.
        4. The call is a sign of life of a worker of these queues. A broker stores `aioq.model.outage.SignsOfLife` for
           each queue, and notes each `extend` and `reap` with `note_sign`. So it notices an outage, in which all
           workers of a queue were cut off.
        5. After an outage no lease of the queue is reaped for a lease, so that each worker that is still there can
           extend those that it holds.
        6. A lease for which `forgives` is true ran out because of the outage. It counts no crash, and the attempt does
           not count: the job becomes `pending` with its crashes as they were and one attempt less.
        """
        ...
