"""Claims jobs as slots become free, as many as there are free slots in one request.

After a claim that found nothing, the worker claims with a wait: the broker answers when there is something to claim. If
such a wait is called off or its answer gets lost, the broker may have leased jobs for it. An inquiry, which is the same
request with a limit of 0, returns these leases and makes the broker claim nothing for the request any more.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import anyio
import anyio.lowlevel
from msgspec import structs

from aioq.conformance import supports
from aioq.errors import PartlyUnavailable
from aioq.model.ids import new_id
from aioq.model.job import Claim, ClaimRequest, Lease
from aioq.model.queue_weights import Turn, after_claim, first_shares, next_turn
from aioq.protocols import Signals
from aioq.worker.broker_retry import OUTAGES
from aioq.worker.log import logger
from aioq.worker.probation import Probation
from aioq.worker.runtime import Runtime
from aioq.worker.shutdown import race

__all__ = ["Claimer"]

CLAIM_TIMEOUT = 5.0
"""Seconds that a claim under way has left when the worker is aborted. A stop leaves it a whole lease."""

POLL_INTERVAL = 5.0
"""Seconds after which an idle worker claims again if the broker has no signals to wake it."""

REJOIN_INTERVAL = 1.0
"""Seconds after which a worker claims again while some of its queues cannot be reached."""

NOTHING = Claim(leases=[])


class _Stopped(Exception):
    """The worker was stopped before a failed claim could be repeated."""


class Claimer:
    """Claims jobs until the worker is stopped; waits for a signal, or for the next job to become due.

    Args:
        poll: Seconds after which an idle worker claims again without a signal; a third of the lease when None, or
            `POLL_INTERVAL` if the broker has no signals.
        burst: End as soon as nothing is due and nothing runs, or no claim has succeeded for a lease.
        max_jobs: Stop the worker when so many jobs were started and have ended; None is no limit.

    Attributes:
        failure: The error that has ended a burst early.
        left: The jobs that may still be claimed; None without a limit.
        answered: Whether the broker has answered a claim.
    """

    def __init__(self, runtime: Runtime, *, poll: float | None, burst: bool, max_jobs: int | None = None) -> None:
        self._broker = runtime.app.broker
        self._worker_id = runtime.worker_id
        # A prefix and a count: a random id for each claim would take longer than the rest of the request.
        self._prefix = new_id()
        self._asked = 0
        self._queues = runtime.queues
        self._shares = first_shares(runtime.weights, random.random) if len(runtime.weights) > 1 else None
        self._turn: Turn | None = None
        self._lease = runtime.lease
        self._burst = burst
        self._slots = runtime.slots
        self._leases = runtime.leases
        self._retry = runtime.retry
        self._shutdown = runtime.shutdown
        self._clock = runtime.clock
        self._probation = Probation(self._broker, self._leases, self._clock, lease=self._lease)
        self._half = (self._slots.total + 1) // 2
        self._poll = poll
        self._signals: Signals | None = None
        self._max_wait = POLL_INTERVAL
        self._waiting: anyio.CancelScope | None = None
        self._claiming: anyio.CancelScope | None = None
        self._paused: tuple[str, ...] = ()
        self.failure: Exception | None = None
        self.left = max_jobs
        self.answered = False
        # Every claim could be raced against the shutdown instead, but that would delay the start of every job.
        self._shutdown.add_listener(self._wake)

    async def run(self, start: Callable[[Lease], None], give_back: Callable[[Lease], None]) -> None:
        """Claim jobs and pass each to `start`, until stopped or, in a burst, until nothing is left to do.

        Leases that arrive after the stop go to `give_back`.
        """
        # Only the connected broker knows whether it can notify.
        self._signals = self._broker if supports(self._broker, Signals) else None
        self._max_wait = _max_wait(self._poll, self._lease) if self._signals else self._poll or POLL_INTERVAL
        # The first claim does not wait: only its answer tells when the next job is due.
        wait: float | None = 0.0
        while wait is not None and not self._shutdown.requested and self.left != 0:
            if not self._slots.free:
                await self._slots.wait_free(unless=lambda: self._shutdown.requested)
                continue
            if wait and (self._signals is None or self._only_away):
                await self._sleep(wait)
                wait = 0.0
                continue
            request = self._request(await self._probation.clear() if self._probation else 0, waits=wait > 0)
            # The next part of the observed jobs may start as soon as the part before has ended.
            waits_for_jobs = wait and (self._burst or self._probation)
            claim = await (self._claim_while_jobs_run if waits_for_jobs else self._claim)(request, wait)
            if self.failure is not None:
                return
            self.answered = True
            if self._shares is not None and self._turn is not None:
                self._shares = after_claim(self._shares, self._turn, Counter(lease.queue for lease in claim.leases))
            self._begin(claim.leases[: self._half], start, give_back)
            # A wait has let other tasks run, so that nothing is left to do after one that claimed nothing.
            if (len(claim.leases) < request.limit or len(claim.leases) > self._half) and (claim.leases or not wait):
                # Let these jobs begin. If the queues are empty, they begin before the next request is sent. If not,
                # short jobs end here, and the next request for their slots is sent while the other half runs.
                await anyio.lowlevel.checkpoint()
            self._begin(claim.leases[self._half :], start, give_back)
            if claim.alone_for:
                # The broker asks for an empty worker: a suspect must run with nothing beside it.
                pause = partial(self._clock.sleep, claim.alone_for)
                await race(self._leases.wait_empty, pause, self._shutdown.draining.wait)
            wait = self._next_wait(request, claim)
        await self._end_after_last_job()

    @property
    def _only_away(self) -> bool:
        """Whether a burst has nothing left to wait for but queues that cannot be reached."""
        return bool(self._burst and self._retry.queues_away and not self._leases)

    async def _end_after_last_job(self) -> None:
        """After the last of `max_jobs`, let the jobs end, however long they take, and stop the worker."""
        if self.left != 0 or self._shutdown.requested:
            return
        logger.info(
            "the worker has claimed as many jobs as max_jobs allows, and stops when they have ended",
            extra={"event": "last_job_claimed"},
        )
        await race(self._slots.wait_idle, self._shutdown.draining.wait)
        if not self._shutdown.requested:
            self._shutdown.request()

    async def end_after_stop(self) -> None:
        """Wait until the worker is stopped, and end a claim that is under way for too long after that."""
        await self._shutdown.draining.wait()
        with anyio.move_on_after(max(CLAIM_TIMEOUT, self._lease)):
            await self._shutdown.aborting.wait()
            await anyio.sleep(CLAIM_TIMEOUT)
        if self._claiming is not None:
            self._claiming.cancel()

    def _next_wait(self, request: ClaimRequest, claim: Claim) -> float | None:
        """Return the seconds that the next claim may wait for jobs; None if a burst is over."""
        more = bool(claim.leases) and (self._burst or len(claim.leases) == request.limit)
        pause = self._probation.pause() if self._probation else 0.0
        if claim.alone_for or more or not (request.observes or pause):
            return 0.0
        # A job that ended after the request may have enqueued others: a burst ends only if none was running.
        over = not request.running and claim.next_due != 0 and not self._probation and not self._retry.queues_away
        if self._burst and over:
            return None
        wait = self._max_wait if claim.next_due is None else min(self._max_wait, claim.next_due)
        return min(wait, pause) if pause else wait

    def _begin(self, leases: list[Lease], start: Callable[[Lease], None], give_back: Callable[[Lease], None]) -> None:
        for lease in leases:
            (give_back if self._shutdown.requested else start)(lease)
        if self.left is not None:
            # A request whose answer was lost is answered again with all that it was granted.
            self.left = max(0, self.left - len(leases))

    async def _claim(self, request: ClaimRequest, wait: float) -> Claim:
        """Claim, after waiting up to `wait` seconds for something to claim; repeat it while the broker is away."""
        try:
            if wait and self._signals is not None:
                return await self._wait(self._signals, request, wait)
            return await self._send(request)
        except Exception as error:
            # A claim is repeated as it was, for the broker recognizes its id. A wait is not: it may have ended.
            if isinstance(error, OUTAGES):
                self._retry.note_whole_outage()
            again = partial(self._inquire if wait else self._send, request)
            try:
                # A burst ends, so that a job of a pipeline does not wait for ever for a server that takes no writes.
                limit = self._lease if self._burst else None
                return await self._retry.repeat(again, after=error, pause=self._pause, limit=limit)
            except _Stopped:
                return NOTHING
            except Exception as failure:
                self.failure = failure
                return NOTHING

    async def _claim_while_jobs_run(self, request: ClaimRequest, wait: float) -> Claim:
        """Claim, but wait no longer than until the last running job has ended."""
        claim = NOTHING
        async with anyio.create_task_group() as group:
            group.start_soon(self._end_wait_when_empty)
            claim = await self._claim(request, wait)
            group.cancel_scope.cancel()
        return claim

    async def _pause(self, seconds: float) -> None:
        """Wait between two calls, but not longer than until the stop. A call is short and is not interrupted."""
        await race(partial(self._clock.sleep, seconds), self._shutdown.draining.wait)
        if self._shutdown.requested:
            raise _Stopped

    async def _send(self, request: ClaimRequest) -> Claim:
        asked = self._clock.monotonic()
        # A claim that is cancelled after it was sent may have leased jobs that run nowhere until their leases expire.
        # Only the broker can tell a slow answer from none, so the claim has no limit here as long as the worker runs.
        with anyio.CancelScope(shield=True) as self._claiming:
            try:
                claim = await self._broker.claim(request)
            except PartlyUnavailable as error:
                return await self._record(self._join(error), asked)
            if self._retry.queues_away:
                self._retry.note_queues(self._queues, None)
            return await self._record(claim, asked)
        return NOTHING

    async def _wait(self, signals: Signals, request: ClaimRequest, seconds: float) -> Claim:
        asked = self._clock.monotonic()
        with anyio.CancelScope() as scope:
            self._waiting = scope
            try:
                try:
                    claim = await signals.wait_and_claim(request, timeout=seconds, idle=self._slots.idle())
                except PartlyUnavailable as error:
                    return await self._record(self._join(error), asked)
                if self._retry.queues_away:
                    self._retry.note_queues(self._queues, None)
                return await self._record(claim, asked)
            except anyio.get_cancelled_exc_class():
                if not scope.cancel_called:
                    # The worker itself is cancelled: record the leases, so that they are released with the others.
                    with suppress(Exception):
                        await self._inquire(request)
                raise
        return await self._inquire(request)

    def _join(self, error: PartlyUnavailable) -> Claim:
        """Return the claim of the queues that can be reached; the next one follows soon, to join the others."""
        self._retry.note_queues(self._queues, error)
        claim: Claim = error.answer
        away_for = self._clock.monotonic() - min(self._retry.queues_away.values())
        if self._burst and not claim.leases and away_for >= self._lease:
            self.failure = error
        due = REJOIN_INTERVAL if claim.next_due is None else min(REJOIN_INTERVAL, claim.next_due)
        return structs.replace(claim, next_due=due)

    async def _inquire(self, request: ClaimRequest) -> Claim:
        """Return the leases of a wait whose answer did not arrive. A new claim must follow at once."""
        return structs.replace(await self._send(structs.replace(request, limit=0)), next_due=0.0)

    async def _record(self, claim: Claim, asked: float) -> Claim:
        """Add the leases to the table, except those that were lost before their answer was read."""
        if claim.paused != self._paused:
            _log_pauses(self._paused, claim.paused)
            self._paused = claim.paused
        # The event loop may have been blocked, or the network slow.
        if claim.leases and self._clock.monotonic() - asked > self._lease / 3:
            lost = await self._broker.extend(claim.leases, seconds=self._lease)
            held = [lease for lease in claim.leases if lease not in lost]
            claim = structs.replace(claim, leases=held, next_due=0.0 if lost else claim.next_due)
        if claim.leases:
            self._leases.add(claim.leases)
            if crashed := [lease for lease in claim.leases if lease.probation]:
                self._probation.add(crashed, alone=claim.alone_for > 0)
        return claim

    def _request(self, cleared: int, *, waits: bool) -> ClaimRequest:
        self._asked += 1
        # Leases, not taken slots: a crash counts against each job whose outcome is not written yet, so a suspect must
        # not start beside one.
        running = len(self._leases) - cleared
        # Nothing is claimed in advance: the job would wait here on its lease while another worker may be idle.
        queues, limit = self._queues, self._slots.free if self.left is None else min(self._slots.free, self.left)
        if self._shares is not None:
            # An empty worker that claims one job says that it will run nothing beside it.
            least = 2 if limit > 1 and not running else 1
            self._turn = next_turn(self._shares, free=limit, least=least, waits=waits)
            queues, limit = self._turn.queues, self._turn.limit
        return ClaimRequest(
            worker_id=self._worker_id,
            queues=queues,
            limit=limit,
            lease=self._lease,
            # A repetition keeps the id: a broker that has answered the lost request returns the same leases again.
            request_id=f"{self._prefix}-{self._asked}",
            running=running,
            observes=not (self._probation and self._probation.pause()),
        )

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the next poll, the stop or, in a burst, the end of the last running job."""
        with anyio.CancelScope() as self._waiting:
            if self._burst and not self._only_away:
                await race(partial(self._clock.sleep, seconds), self._leases.wait_empty)
            else:
                await self._clock.sleep(seconds)

    def _wake(self) -> None:
        """End a wait for a slot or for jobs, because the worker is stopped."""
        self._slots.wake()
        if self._waiting is not None:
            self._waiting.cancel()

    async def _end_wait_when_empty(self) -> None:
        await self._leases.wait_empty()
        if self._waiting is not None:
            self._waiting.cancel()


def _log_pauses(before: Sequence[str], after: Sequence[str]) -> None:
    for queue in after:
        if queue not in before:
            logger.warning("queue %s is paused", queue, extra={"event": "queue_paused", "queue": queue})
    for queue in before:
        if queue not in after:
            logger.info("queue %s is resumed", queue, extra={"event": "queue_resumed", "queue": queue})


def _max_wait(poll: float | None, lease: float) -> float:
    """Return how long a claim may wait: an answer that may be older than a third of its lease has to be checked."""
    return lease / 3 if poll is None else min(poll, lease / 3)
