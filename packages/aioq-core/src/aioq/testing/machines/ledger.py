"""Compares any tick ledger with models of entries."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from aioq.model.cron import (
    CronChanges,
    CronDefinition,
    CronKey,
    Overlap,
    TickClaim,
    TickOutcome,
    TickRecord,
    TickRun,
    TickStatus,
)
from aioq.model.ids import tick_id
from aioq.model.job import ClaimRequest, Completed, Lease, NewJob
from aioq.protocols import TickLedger
from aioq.testing.machines.machine import Machine
from aioq.testing.models.ledger import LedgerModel, ms

__all__ = ["LedgerMachine"]

QUEUES = "qr"
"""Each has an entry with the same name. They are entries of two apps: the names of one app differ."""
NO_LAPSE = 1e6
"""Seconds in which no version lapses."""
SPENT = (TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY)

queues = st.sampled_from(QUEUES)
workers = st.sampled_from(["w1", "w2", "w3"])
offsets = st.lists(st.sampled_from([-5.0, -1.0, -0.3, 0.0, 0.25, 0.9, 1.5, 60.0]), min_size=1, max_size=3, unique=True)
fingerprints = st.sampled_from(["f", "f", "g"])
ttls = st.sampled_from([5.05, NO_LAPSE])
overlaps: st.SearchStrategy[Overlap] = st.sampled_from(["allow", "skip", "queue_one", "queue_one", "cancel"])


class LedgerMachine(Machine):
    """Drives two entries that differ in the queue only, with three workers, deploys and pauses.

    It compares every answer with a model of each. The broker must be a `Broker` and a `TickLedger`. Its clock must
    stand still between calls, but for what `pass_time` lets pass and for what `time` adds.
    """

    ledger: TickLedger
    versions_lapse = True
    """Whether `pass_time` makes versions lapse. A server that expires keys on a clock of its own sets it to False."""

    def __init__(self) -> None:
        super().__init__()
        self.models = {queue: LedgerModel() for queue in QUEUES}
        self.claims: list[TickClaim] = []
        self.runs: list[TickRun] = []
        self.leases: list[Lease] = []
        self.last_ticks: dict[str, list[int]] = {queue: [] for queue in QUEUES}

    @initialize()
    def start(self) -> None:
        """Make the broker."""
        self.broker = self._run(self.make_broker())
        assert isinstance(self.broker, TickLedger)
        self.ledger = self.broker

    @rule(
        queue=queues,
        worker=workers,
        offsets=offsets,
        fingerprint=fingerprints,
        overlap=overlaps,
        run=st.sampled_from([1.05, 10.05]),
        as_job=st.booleans(),
    )
    def claim_ticks(
        self,
        queue: str,
        worker: str,
        offsets: list[float],
        fingerprint: str,
        overlap: Overlap,
        run: float,
        as_job: bool,
    ) -> None:
        """Claim ticks around now."""
        now = self._look_at_the_clock()
        claim = TickClaim(
            name="report",
            queue=queue,
            ticks=tuple((now + ms(offset)) / 1000 for offset in sorted(offsets)),
            fingerprint=fingerprint,
            worker_id=worker,
            request_id=f"bid-{next(self._ids)}",
            overlap=overlap,
            run=run,
            job=NewJob(id="template", task="t", queue=queue, payload=b"{}") if as_job else None,
        )
        self.claims.append(claim)
        self._claim(claim)

    @precondition(lambda self: self.claims)
    @rule(back=st.integers(1, 13))
    def repeat_a_claim(self, back: int) -> None:
        """Repeat one of the latest claims."""
        self._look_at_the_clock()
        self._claim(self.claims[-min(back, len(self.claims))])

    @rule(queue=queues, fingerprint=st.sampled_from(["f", "g", None]), ttl=ttls)
    def deploy(self, queue: str, fingerprint: str | None, ttl: float) -> None:
        """Register a version of the app, with the entry or without it."""
        app, key = f"app-{queue}", CronKey(queue, "report")
        fields = {"queue": queue, "name": "report", "kind": "cron", "expression": "", "tz": "", "unique": True}
        crons = [msgspec.convert({**fields, "fingerprint": fingerprint}, CronDefinition)] if fingerprint else []
        now, model, ttl = self._look_at_the_clock(), self.models[queue], self._lapsing(ttl)
        added, changed, removed = model.register(fingerprint)
        model.version = str(fingerprint)
        model.version_until = now + ms(ttl)
        changes = self._run(self.ledger.register_crons(app, model.version, crons, ttl=ttl))
        assert changes == CronChanges(added=[key] * added, changed=[key] * changed, removed=[key] * removed)

    @rule(queue=queues, version=st.sampled_from(["f", "g", "None"]), ttl=ttls)
    def renew_a_version(self, queue: str, version: str, ttl: float) -> None:
        """Renew the version of a worker, which may have lapsed or been replaced."""
        ttl = self._lapsing(ttl)
        registered = self.models[queue].renew(version, self._look_at_the_clock() + ms(ttl))
        assert self._run(self.ledger.renew_registration(f"app-{queue}", version, ttl=ttl)).version == registered

    @rule(queue=queues, paused=st.booleans())
    def pause_or_resume(self, queue: str, paused: bool) -> None:
        """Pause or resume an entry."""
        self._look_at_the_clock()
        model, key = self.models[queue], CronKey(queue, "report")
        if paused:
            assert self._run(self.ledger.pause_cron(key, note="", by="me")) is not model.paused
        else:
            assert self._run(self.ledger.resume_cron(key)) is model.paused
            if model.paused:
                model.arm()
        model.paused = paused

    @precondition(lambda self: self.runs)
    @rule(pick=st.integers(1, 3))
    def extend_runs(self, pick: int) -> None:
        """Extend runs, the latest among them."""
        now, runs = self._look_at_the_clock(), self.runs[-pick:]
        lost: list[TickRun] = []
        for run in runs:
            latest = self.models[run.queue].run
            assert latest is not None
            if (ms(run.tick), run.worker_id) == (latest.tick, latest.worker):
                latest.until = now + 5050
            else:
                lost.append(run)
        assert self._run(self.ledger.extend_runs(runs, seconds=5.05)) == lost

    @precondition(lambda self: self.runs)
    @rule(pick=st.integers(1, 3))
    def end_a_run(self, pick: int) -> None:
        """Record that a run that was won has ended."""
        run = self.runs[-min(pick, len(self.runs))]
        self._record_end(run.queue, ms(run.tick), run.worker_id, job=None)

    @rule(queue=queues)
    def begin_a_job(self, queue: str) -> None:
        """Claim the next job: there is one for each tick that was won with a job, and no more."""
        request = ClaimRequest(
            worker_id="runner", queues=(queue,), limit=1, lease=1e6, request_id=f"claim-{next(self._ids)}"
        )
        leases = self._run(self.broker.claim(request)).leases
        model = self.models[queue]
        expected = [(queue, tick_id("report", tick / 1000)) for tick in model.waiting[:1]]
        assert [(lease.queue, lease.job_id) for lease in leases] == expected
        model.started += model.waiting[:1]
        del model.waiting[:1]
        self.leases += leases

    @precondition(lambda self: self.leases)
    @rule()
    def end_a_job(self) -> None:
        """Settle a job, and record it."""
        lease = self.leases.pop(0)
        self._run(self.broker.settle([Completed(lease=lease)]))
        self._record_end(lease.queue, self.models[lease.queue].started.pop(0), "runner", job=lease.job_id)

    @rule(seconds=st.sampled_from([0.3, 1.3, 6.3, 100.0]))
    def let_time_pass(self, seconds: float) -> None:
        """Wait."""
        self._run(self.pass_time(seconds))

    @invariant()
    def status_equals_the_model(self) -> None:
        """Last tick, pause, run, counts and records are equal, and the last tick never goes back."""
        if not hasattr(self, "broker"):
            return
        self._look_at_the_clock()
        for queue, model in self.models.items():
            self._compare(CronKey(queue, "report"), model)

    def _compare(self, key: CronKey, model: LedgerModel) -> None:
        history = self._run(self.ledger.tick_history(key, limit=1000))
        records = [(ms(record.tick), (record.status.value, record.reason)) for record in history]
        assert records == sorted(model.records.items(), reverse=True)[:100]
        status, last_ticks = self._run(self.ledger.cron_status(key)), self.last_ticks[key.queue]
        assert (status is not None) == (model.registered is not None)
        if status is not None:
            assert (ms(status.last_tick or 0), ms(status.armed_at)) == (model.last_tick or 0, model.armed), model.now
            assert (status.pause is not None, status.retired_at is not None) == (model.paused, model.retired)
            assert (status.running is not None) == model.is_going_on()
            assert status.counts == model.counts()
            assert self._run(self.ledger.cron_statuses(f"app-{key.queue}")) == [status]
            last_ticks.append(ms(status.last_tick or 0))
        assert last_ticks == sorted(last_ticks)

    def _claim(self, claim: TickClaim) -> None:
        model = self.models[claim.queue]
        expected = model.answer(claim)
        reply = self._run(self.ledger.claim_tick(claim))
        assert reply.outcome is expected.outcome
        assert reply.won == (expected.decided if reply.outcome is TickOutcome.WON else ())
        if reply.outcome in SPENT:
            assert reply.previous == (None if expected.previous is None else expected.previous / 1000)
        assert ms(reply.now) == model.now
        won = TickRun(name="report", queue=claim.queue, tick=claim.ticks[-1], worker_id=claim.worker_id)
        if reply.outcome is TickOutcome.WON and claim.job is None and won not in self.runs:
            self.runs.append(won)

    def _record_end(self, queue: str, tick: int, worker: str, *, job: str | None) -> None:
        self._look_at_the_clock()
        record = TickRecord(
            name="report",
            queue=queue,
            tick=tick / 1000,
            status=TickStatus.OK,
            worker_id=worker,
            finished_at=tick / 1000,
            job_id=job,
        )
        self._run(self.ledger.record_ticks([record]))
        self.models[queue].end(tick, worker)

    def _lapsing(self, ttl: float) -> float:
        return ttl if self.versions_lapse else NO_LAPSE

    def _look_at_the_clock(self) -> int:
        now = ms(self._run(self.broker.time()))
        for model in self.models.values():
            model.now = now
        return now
