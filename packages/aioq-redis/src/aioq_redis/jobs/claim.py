"""Leases jobs to workers, at once or when there is something to claim.

A claim that waits is parked on the server: it is sent right behind the command that blocks on the wake tokens of the
queue, and the server runs it as soon as there is a token. So an idle worker gets a lease in one round trip. If the
connection breaks without the server noticing, a claim may be left behind there. It names the request before it; the
script sees that another request came after that one, and claims nothing.

A worker of several queues needs one script for each of them. Its claim is sent when the token has arrived and tells
which queue it is of.

Of a paused queue, a worker waits for the tokens of its resume: those of new jobs accumulate unused.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Any, Final, NamedTuple

from anyio import Event
from msgspec import structs

from aioq.errors import BrokerConfigError, BrokerUnavailable, PartlyUnavailable
from aioq.model.ids import new_id
from aioq.model.job import Claim, ClaimRequest, Lease, Released
from aioq.retry import full_jitter
from aioq_redis.client.errors import ConnectionLost, ErrorReply
from aioq_redis.client.pipeline import Command, milliseconds
from aioq_redis.client.session import Session
from aioq_redis.jobs.settle import SettleRole, encode_settlements
from aioq_redis.jobs.stops import TOKEN_TTL
from aioq_redis.jobs.unreadable import UnreadableClaim, UnreadableClaims, printable_id
from aioq_redis.storage.database import Database, gather_all
from aioq_redis.storage.job_format import FIRST_ATTEMPT, Unreadable, read_history, read_lease
from aioq_redis.storage.keys import KeySpace, Layout
from aioq_redis.storage.retention import Retention
from aioq_redis.storage.scripts import load

__all__ = ["ClaimRole"]

REJECTED_QUEUE_PAUSE: Final = 0.5
"""Seconds to wait if the server rejects the claim of one queue and the others have no job."""

LOG_REJECTION_EVERY: Final = 60.0
"""Seconds after which the same rejection is logged again."""

DUE_MARGIN: Final = 0.002
"""Seconds after which a job is certainly due: the server counts whole milliseconds."""

WAKE_MARGIN: Final = 0.25
"""Seconds after a job is due at which a wait ends by itself, if no token has come."""

MAX_WAIT: Final = 30.0
"""Seconds that one claim is parked: the server remembers the request before it for a minute."""

LOOK: Final = -1
"""The limit of a request that asks whether there are jobs, and takes none."""

OVERTAKEN: Final = -1
"""The answer to a claim that named another request than the latest as the one before it."""

HAS_JOBS: Final = -2
"""The answer to a look if there are jobs."""

PAUSED: Final = -3
"""The answer to a claim or a look if the queue is paused."""

MAX_BYTES: Final = 1_048_576
"""Bytes of records after which a claim takes no further job."""

MAX_BYTES_IF_FULL: Final = 65_536
"""The same while the server is full: until the reply has been sent, it takes room on the server."""

logger = logging.getLogger("aioq.redis")

_WORKER_ID: Final = re.compile(r"[^\x00-\x20\x7f]{1,200}")


@dataclass(slots=True, eq=False)
class WorkerClaims:
    """What is known of the claims of one worker."""

    queues: tuple[str, ...]
    wake_keys: dict[str, str]
    """The queues, by the list of their wake tokens."""
    claim_keys: dict[str, Sequence[str]]
    """The keys of the script, by queue."""
    resumes: dict[str, Resume]
    """How to wait for the resume of each queue."""
    due: dict[str, float] = field(default_factory=dict[str, float])
    """When the next job of a queue is due, on the clock of the event loop; infinity without one."""
    answered: dict[str, str] = field(default_factory=dict[str, str])
    """The latest request that a queue has answered."""
    unheard: dict[str, str] = field(default_factory=dict[str, str])
    """A request whose answer by a queue was not heard, although other queues have answered it."""
    away: dict[str, BrokerUnavailable] = field(default_factory=dict[str, BrokerUnavailable])
    """The queues that could not be reached by the latest claim, and why."""
    paused: set[str] = field(default_factory=set[str])
    """The queues that were paused at their latest answer."""

    def serves(self, queues: tuple[str, ...]) -> bool:
        """Return whether these are the queues, in any order: with weights, each request has another one."""
        return self.queues == queues or sorted(self.queues) == sorted(queues)

    def next_due(self) -> tuple[str, float]:
        """Return the queue whose job is due next, and when."""
        return min(self.due.items(), key=itemgetter(1), default=("", math.inf))


class Resume(NamedTuple):
    """The wait for the resume of a paused queue."""

    key: str
    """The list of its tokens."""
    command: Command
    """The script that a worker runs when it has got one."""


class QueueFailure(NamedTuple):
    """The error of a claim that concerns one queue only."""

    queue: str
    error: BrokerConfigError | BrokerUnavailable


class ClaimReply(NamedTuple):
    """What `lua/jobs/claim.lua` returns for one queue."""

    queue: str
    taken: int
    """How many jobs the request took, or `OVERTAKEN`, or `HAS_JOBS`."""
    next_due: int
    """Milliseconds until the next job is due, -1 for none; or how many jobs a look has found."""
    dropped: Sequence[Any]
    """Ids that the script removed from the queue because no job is stored under them."""
    alone_for: int
    """Milliseconds for which the worker must claim no more, unless it becomes empty before."""
    now: int
    """The server's time in milliseconds."""
    found: Sequence[bytes]
    """Id, record and run line of each claimed job."""
    paused: bool
    """Whether the queue is paused; then nothing else is known of it."""


class ClaimRole(SettleRole):
    """Implements `claim` of `aioq.protocols.Broker` and `wait_and_claim` of `aioq.protocols.Signals`."""

    def __init__(self, database: Database, layout: Layout, retention: Retention) -> None:
        super().__init__(database, layout, retention)
        self._claim_script = load("claim")
        self._claims: dict[str, WorkerClaims] = {}
        self._failed_waits = 0
        self._unreadable = UnreadableClaims()
        # By text: when a rejection was logged last.
        self._logged_rejections: dict[str, float] = {}

    @property
    def _max_bytes(self) -> int:
        return MAX_BYTES_IF_FULL if self._database.is_full else MAX_BYTES

    async def claim(self, request: ClaimRequest) -> Claim:
        """Lease due jobs to a worker; see `aioq.protocols.Broker.claim`."""
        worker = self._claims_of(request)
        first, *others = request.queues
        replies = [await self._claim_queue(request, worker, first, request.limit)]
        if others:
            replies += await self._claim_others(request, worker, others, _left(request.limit, replies))
        failures = [reply for reply in replies if isinstance(reply, QueueFailure)]
        if len(failures) == len(request.queues):
            raise failures[0].error
        if failures or worker.away:
            _note_away(worker, failures, request.request_id)
        claim = await self._accept(request, worker, [reply for reply in replies if isinstance(reply, ClaimReply)])
        if rejections := [failure.error for failure in failures if isinstance(failure.error, BrokerConfigError)]:
            await self._log_rejections(rejections, claim.leases)
        if worker.away:
            raise PartlyUnavailable(worker.away, claim)
        return claim

    async def _claim_others(
        self, request: ClaimRequest, worker: WorkerClaims, queues: Sequence[str], limit: int
    ) -> list[ClaimReply | QueueFailure]:
        """Claim from the queues after the first, in three round trips at most.

        Every queue is asked, also if the worker has no slot left: when is its next job due, and what has an earlier try
        of this request claimed there?
        """
        if len(queues) == 1 or limit == 0:
            return await gather_all(self._claim_queue(request, worker, queue, limit) for queue in queues)
        # Asked for jobs all at once, they could lease more than the worker has slots.
        looks = await gather_all(self._claim_queue(request, worker, queue, LOOK) for queue in queues)
        found: list[ClaimReply] = []
        replies: list[ClaimReply | QueueFailure] = []
        for look in looks:
            if isinstance(look, ClaimReply) and look.taken == HAS_JOBS:
                found.append(look)
            else:
                replies.append(look)
        limit = _left(limit, replies)
        if found and request.running + request.limit == limit:
            # An empty worker may get a suspect, which must run alone.
            replies.append(await self._claim_queue(request, worker, found.pop(0).queue, limit))
            limit = _left(limit, replies[-1:])
        shares: dict[str, int] = {}
        for look in found:
            shares[look.queue] = min(look.next_due, limit)
            limit -= shares[look.queue]
        return replies + await gather_all(
            self._claim_queue(request, worker, queue, share) for queue, share in shares.items()
        )

    async def wait_and_claim(self, request: ClaimRequest, *, timeout: float, idle: Event | None = None) -> Claim:
        """Claim when there is something to claim; see `aioq.protocols.Signals.wait_and_claim`."""
        session = self._database.session
        worker = self._claims.get(request.worker_id)
        claim = None
        # Only the answer to an earlier claim tells that there is nothing to claim now.
        if worker is not None and worker.serves(request.queues) and self._may_wait(session, worker):
            try:
                claim = await self._wait(session, request, worker, min(timeout, MAX_WAIT), idle)
            except ConnectionLost:
                self._failed_waits += 1
                if len(request.queues) > 1:
                    # The script of one queue may have run, and taken as many jobs as the worker has room for.
                    request = structs.replace(request, limit=0)
            if session.closed:
                return claim or Claim(leases=[])
        if claim is None:
            return await self.claim(request)
        if worker is not None and worker.away:
            raise PartlyUnavailable(worker.away, claim)
        return claim

    def _may_wait(self, session: Session, worker: WorkerClaims) -> bool:
        """Return whether nothing is due, and no queue can be reached again that could not be reached before."""
        if worker.next_due()[1] <= session.loop.time():
            return False
        return not worker.away or all(session.route.away(worker.claim_keys[queue][0]) for queue in worker.away)

    def _claims_of(self, request: ClaimRequest) -> WorkerClaims:
        """Return what is known of the worker's claims of these queues."""
        worker = self._claims.get(request.worker_id)
        if worker is not None and worker.serves(request.queues):
            return worker
        if not _WORKER_ID.fullmatch(request.worker_id):
            raise ValueError(
                f"worker_id must be 1 to 200 printable characters without spaces, got {request.worker_id!r}"
            )
        for queue in request.queues:
            self._settle_target((queue, request.worker_id))  # worked out now, and not when the first job has ended
        spaces = {queue: self._layout.queue(queue) for queue in request.queues}
        return WorkerClaims(
            queues=request.queues,
            wake_keys={space.key("wake"): queue for queue, space in spaces.items()},
            claim_keys={
                queue: space.pick(self._claim_script.keys, request.worker_id) for queue, space in spaces.items()
            },
            resumes={queue: _resume(space) for queue, space in spaces.items()},
        )

    async def _claim_queue(
        self, request: ClaimRequest, worker: WorkerClaims, queue: str, limit: int
    ) -> ClaimReply | QueueFailure:
        """Claim jobs of one queue; an error that concerns this queue only is returned."""
        args = _encode_request(request, limit, self._max_bytes)
        try:
            if queue in worker.unheard:
                await self._return_unheard(request, worker, queue)
            # Name the request before: if a newer one overtakes this one, the script claims nothing.
            before = (worker.answered[queue],) if queue in worker.answered else ()
            reply = await self._run_claim(worker, queue, (*args, *before))
            if reply.taken == OVERTAKEN:  # or the server has forgotten the request before
                reply = await self._run_claim(worker, queue, args)
        except (BrokerConfigError, BrokerUnavailable) as error:
            return QueueFailure(queue, error)
        return reply

    async def _run_claim(self, worker: WorkerClaims, queue: str, args: Sequence[object]) -> ClaimReply:
        script, keys = self._claim_script, worker.claim_keys[queue]
        find_mistyped = partial(self._database.find_mistyped, self._layout.queue(queue), keys)
        return _read_reply(queue, await self._database.run_script(script, keys, args, find_mistyped, patient=False))

    async def _return_unheard(self, request: ClaimRequest, worker: WorkerClaims, queue: str) -> None:
        """Release what a queue may have leased for a request whose answer was not heard: the worker has gone on."""
        unheard = structs.replace(request, request_id=worker.unheard[queue])
        reply = await self._run_claim(worker, queue, _encode_request(unheard, 0, self._max_bytes))
        leases, unreadable = _read_leases(reply, request.worker_id)
        args = self._unreadable.settlements(queue, unreadable)
        args += encode_settlements([Released(lease=lease) for lease in leases], full=False)
        if args:
            await self._run_settle((queue, request.worker_id), f"{new_id()}.{new_id()}", partial(_same, args))
        worker.answered[queue] = worker.unheard.pop(queue)

    async def _accept(self, request: ClaimRequest, worker: WorkerClaims, replies: Sequence[ClaimReply]) -> Claim:
        """Return the claim that the replies of queues add up to."""
        leases: list[Lease] = []
        for reply in replies:
            if reply.dropped:
                _log_dropped(reply)
            own, unreadable = _read_leases(reply, request.worker_id)
            leases += own
            if unreadable:
                args = self._unreadable.settlements(reply.queue, unreadable)
                # The worker never learns of these jobs. Without a settlement here they would be reaped and claimed
                # again.
                owner = (reply.queue, request.worker_id)
                await self._run_settle(owner, f"{new_id()}.{new_id()}", partial(_same, args))
        now = asyncio.get_running_loop().time()
        waits = {queue: max(0.0, due - now) for queue, due in worker.due.items()}
        for reply in replies:
            waits[reply.queue] = reply.next_due / 1000 if reply.next_due >= 0 else math.inf
            (worker.paused.add if reply.paused else worker.paused.discard)(reply.queue)
            worker.answered[reply.queue] = request.request_id
        worker.due = {queue: now + wait for queue, wait in waits.items()}
        self._claims[request.worker_id] = worker
        next_due = min(waits.values(), default=math.inf)
        return Claim(
            leases=leases,
            next_due=None if next_due == math.inf else next_due,
            alone_for=max((reply.alone_for for reply in replies), default=0) / 1000,
            paused=tuple(queue for queue in request.queues if queue in worker.paused) if worker.paused else (),
        )

    async def _log_rejections(self, rejections: Sequence[BrokerConfigError], leases: Sequence[Lease]) -> None:
        now = time.monotonic()
        for rejection in rejections:
            text = str(rejection)
            if now - self._logged_rejections.get(text, -math.inf) >= LOG_REJECTION_EVERY:
                self._logged_rejections[text] = now
                logger.error("%s; other queues go on", text, extra={"event": "claim_failed"})
        if not leases:
            # Wake tokens of such a queue are never used up, so the next wait would end at once.
            await asyncio.sleep(REJECTED_QUEUE_PAUSE)

    async def _wait(
        self, session: Session, request: ClaimRequest, worker: WorkerClaims, seconds: float, idle: Event | None
    ) -> Claim | None:
        """Park a claim on the server; return None if it ended without one, or was overtaken by another request."""
        # A server that accepts connections and closes them at once would otherwise be asked without a pause.
        if self._failed_waits:
            await asyncio.sleep(full_jitter(self._failed_waits - 1))
        queue, moment = worker.next_due()
        due = moment - session.loop.time()
        # When a job comes due no other client may be there to put out a token, and the server ends a wait up to 0.1 s
        # late. So this client does it; should that fail, the wait ends by itself a little later.
        is_soon = due < seconds + WAKE_MARGIN
        alarm = session.loop.call_later(due + DUE_MARGIN, self._nudge, session, queue) if is_soon else None
        commands = self._parked(request, worker)
        try:
            key, reply = await session.blocking.wait_and_run(commands, due + WAKE_MARGIN if is_soon else seconds, idle)
        except ErrorReply as error:
            self._failed_waits += 1
            raise await self._rejected_wait(request, error) from None
        finally:
            if alarm is not None:
                alarm.cancel()
        self._failed_waits = 0
        # The claim failed, not the wait: `claim` sends it again, and explains an error that stays.
        if reply is None or isinstance(reply, ErrorReply) or key not in worker.wake_keys:
            return None
        claimed = _read_reply(worker.wake_keys[key], reply)
        return await self._accept(request, worker, [claimed]) if claimed.taken != OVERTAKEN else None

    def _parked(self, request: ClaimRequest, worker: WorkerClaims) -> dict[str, Command]:
        """Return what to run when a token has come, by the list of the tokens."""
        waits = [(key, queue) for key, queue in worker.wake_keys.items() if queue not in worker.away]
        commands = {
            key: self._parked_claim(request, worker, queue, worker.answered.get(queue))
            for key, queue in waits
            if queue not in worker.paused
        }
        # New jobs in a paused queue put out tokens, too, and must wake no worker.
        return commands | dict(worker.resumes[queue] for _, queue in waits if queue in worker.paused)

    def _parked_claim(self, request: ClaimRequest, worker: WorkerClaims, queue: str, before: str | None) -> Command:
        """Return a claim that takes nothing unless it comes right after the request `before`, if that is given."""
        args = _encode_request(request, request.limit, self._max_bytes)
        return Command(self._claim_script, worker.claim_keys[queue], args if before is None else (*args, before))

    def _nudge(self, session: Session, queue: str) -> None:
        """Put out a wake token for a job that has come due; most likely it wakes this client."""
        script = load("nudge")
        command = Command(script, self._layout.queue(queue).pick(script.keys), ())
        session.pipeline.submit(command).add_done_callback(lambda reply: reply.cancelled() or reply.exception())

    async def _rejected_wait(self, request: ClaimRequest, error: ErrorReply) -> Exception:
        if error.code != "WRONGTYPE":
            return self._database.rejected("BLPOP", error)
        spaces = [self._layout.queue(queue) for queue in request.queues]
        texts = [await self._database.find_mistyped(space, [space.key("wake")]) for space in spaces]
        mistyped = next((text for text in texts if text.startswith("key ")), texts[0])
        return BrokerConfigError(f"{self._database.name} holds foreign data: {mistyped}")


def _note_away(worker: WorkerClaims, failures: Sequence[QueueFailure], request_id: str) -> None:
    """Note which queues a claim could not reach: when their next job is due, and what they have leased, is unknown."""
    worker.away = {one.queue: one.error for one in failures if isinstance(one.error, BrokerUnavailable)}
    for queue in worker.away:
        worker.due.pop(queue, None)
        worker.unheard.setdefault(queue, request_id)


def _same(args: Sequence[object], full: bool) -> Sequence[object]:
    """Return settlements that have no result and no failure: a full server can store them."""
    return args


def _encode_request(request: ClaimRequest, limit: int, max_bytes: int) -> tuple[object, ...]:
    """Return the first arguments of `lua/jobs/claim.lua`; `limit` is what earlier queues left of the request's."""
    leases_held = request.running + request.limit - limit
    # One argument, so that the usual claim does not become longer.
    held = leases_held if request.observes else f"{leases_held}-"
    return request.request_id, request.worker_id, limit, milliseconds(request.lease), held, max_bytes


def _left(limit: int, replies: Sequence[ClaimReply | QueueFailure]) -> int:
    """Return how many jobs the worker can still take."""
    for reply in replies:
        if isinstance(reply, ClaimReply):
            # Count what the request took when it was made first: a repeated request must take nothing new.
            limit = 0 if reply.alone_for else limit - reply.taken
    return max(limit, 0)


def _read_reply(queue: str, reply: Sequence[Any]) -> ClaimReply:
    taken, next_due, dropped, alone_for, now, *found = reply
    paused = taken == PAUSED
    return ClaimReply(queue, 0 if paused else taken, next_due, dropped, alone_for, now, found, paused)


def _resume(space: KeySpace) -> Resume:
    script = load("pass_on_resume")
    args = (milliseconds(TOKEN_TTL),)
    # With its text, as no call before may have taught the script to the server.
    return Resume(space.key("resumed"), Command(script, space.pick(script.keys), args, whole=True))


def _read_leases(reply: ClaimReply, worker_id: str) -> tuple[list[Lease], list[UnreadableClaim]]:
    """Return the leases of a reply, and the jobs that it claimed and that cannot be read."""
    leases: list[Lease] = []
    unreadable: list[UnreadableClaim] = []
    for at in range(0, len(reply.found), 3):
        job_id, record, line = reply.found[at : at + 3]
        history = read_history(line) if line else FIRST_ATTEMPT
        try:
            leases.append(read_lease(reply.queue, worker_id, job_id, record, history, now=reply.now))
        except Unreadable as error:
            unreadable.append(UnreadableClaim(job_id, record, history, error))
    return leases, unreadable


def _log_dropped(reply: ClaimReply) -> None:
    first = printable_id(reply.dropped[0])
    logger.warning(
        "dropped %d ids from queue %s that have no job, the first of them %s",
        len(reply.dropped),
        reply.queue,
        first,
        extra={"event": "ids_dropped"},
    )
