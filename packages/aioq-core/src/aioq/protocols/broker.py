"""The protocol that every broker implements: a durable store of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from aioq.model.job import Claim, ClaimRequest, Lease, NewJob, Reaped, Settled, Settlement

__all__ = ["Broker"]


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
