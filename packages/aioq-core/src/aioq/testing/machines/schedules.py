"""Compares any broker that stores schedules with a model of them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from aioq.model.cron import (
    CronChanges,
    CronDefinition,
    CronKey,
    CronStatus,
    Overlap,
    TickClaim,
    TickReason,
    TickRecord,
    TickStatus,
)
from aioq.model.ids import tick_id
from aioq.model.job import ClaimRequest, Completed, Lease, NewJob
from aioq.model.schedules import Firing, ScheduleRecord, ScheduleText, StoredSchedule
from aioq.protocols import Schedules, TickLedger
from aioq.testing.machines.machine import Machine
from aioq.testing.models.ledger import LedgerModel, ms
from aioq.testing.models.schedules import ScheduleModel

__all__ = ["ScheduleMachine"]

KEYS = [CronKey("q", "a"), CronKey("q", "b"), CronKey("r", "a")]
APPS, TASKS = ("app", "other"), ("t", "u")
NO_LAPSE = 1e6
"""Seconds in which no version lapses."""

keys = st.sampled_from(KEYS)
queues = st.sampled_from([("q",), ("r",), ("q", "r"), ("r", "q")])
tasks = st.sampled_from([("t",), ("u",), TASKS])
fingerprints = st.sampled_from(["f", "f", "g"])
dues = st.sampled_from([None, -5.0, 0.0, 0.0, 7.0])
next_dues = st.sampled_from([None, 0.25, 6.0])
ticks = st.lists(st.sampled_from([-5.0, -1.0, -0.3, 0.0, 0.25, 0.9, 1.5]), max_size=2, unique=True)
overlaps: st.SearchStrategy[Overlap] = st.sampled_from(["allow", "allow", "skip", "queue_one"])
picks = st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True)


class ScheduleMachine(Machine):
    """Puts, reserves and fires three schedules of two queues, beside deploys and pauses.

    It compares every answer, the ticks and the jobs with a model. The broker must be a `Broker`, a `TickLedger` and a
    `Schedules`. Its clock must stand still between calls, but for what `pass_time` lets pass and for what `time` adds.
    """

    in_time = True
    """Whether `next_due` is never too early, and a call brings all due schedules up to its limit. False for a broker
    that looks once more at a schedule that got another task, when it would have been due under the task before."""

    ledger: TickLedger
    store: Schedules

    def __init__(self) -> None:
        super().__init__()
        self.model = ScheduleModel()
        self.seen: list[ScheduleRecord] = []
        """Records that a broker has returned. Some are out of date."""
        self.firings: list[Firing] = []
        self.leases: list[tuple[CronKey, Lease]] = []

    @initialize()
    def start(self) -> None:
        """Make the broker."""
        self.broker = self._run(self.make_broker())
        assert isinstance(self.broker, TickLedger)
        self.ledger = self.broker
        assert isinstance(self.broker, Schedules)
        self.store = self.broker

    @rule(
        key=keys, app=st.sampled_from(["app", "app", "app", "other"]), task=st.sampled_from(TASKS),
        fingerprint=fingerprints, payload=st.sampled_from([b"1", b"\x00\xff"]), due=dues,
    )  # fmt: skip
    def put(self, *, key: CronKey, app: str, task: str, fingerprint: str, payload: bytes, due: float | None) -> None:
        """Store a schedule: a new one, an equal one, or another one in its place."""
        self._look_at_the_clock()
        job = NewJob(id="template", task=task, queue=key.queue, payload=payload)
        text = ScheduleText(expression=fingerprint, tz="UTC")
        schedule = StoredSchedule(definition=_definition(key, fingerprint, "schedule"), text=text, app=app, job=job)
        moment = None if due is None else self.model.now / 1000 + due
        revision = f"revision-{next(self._ids)}"
        expected = self.model.put(schedule, revision, moment)
        assert self._run(self.store.put_schedule(schedule, revision=revision, due=moment)) is expected

    @rule(key=keys)
    def remove(self, key: CronKey) -> None:
        """Remove a schedule."""
        expected = self.model.schedules.pop(key, None) is not None
        assert self._run(self.store.remove_schedule(key)) is expected
        assert self._run(self.store.get_schedule(key)) is None

    @rule(queues=queues, tasks=tasks, limit=st.integers(1, 3), seconds=st.sampled_from([1.0, 10.0]))
    def reserve(self, queues: tuple[str, ...], tasks: tuple[str, ...], limit: int, seconds: float) -> None:
        """Reserve due schedules: as many as there are and were asked for, in any order."""
        self._look_at_the_clock()
        due = self.model.due(queues, tasks)
        answer = self._run(self.store.reserve_schedules(queues, tasks, limit=limit, seconds=seconds))
        reserved = {record.schedule.key: record for record in answer.schedules}
        assert len(answer.schedules) == len(reserved) <= limit
        assert reserved == {key: due.get(key) for key in reserved}
        for key in reserved:
            self.model.reserve(key, seconds)
        self.seen += answer.schedules
        assert ms(answer.now) == self.model.now
        left, told = self.model.next_due(queues, tasks), None if answer.next_due is None else ms(answer.next_due)
        if self.in_time:
            assert (len(reserved), told) == (min(limit, len(due)), left)
        else:
            assert left is None or (told is not None and told <= left)

    @precondition(lambda self: self.seen)
    @rule(
        picks=picks, offsets=ticks, next_due=next_dues, overlap=overlaps, missed=st.booleans(),
        moves=st.booleans(),
    )  # fmt: skip
    def fire(
        self,
        picks: list[int],
        offsets: list[float],
        next_due: float | None,
        overlap: Overlap,
        missed: bool,
        moves: bool,
    ) -> None:
        """Fire schedules as they were when they were read, with ticks around now."""
        self._look_at_the_clock()
        now = self.model.now
        moments = tuple((now + ms(offset)) / 1000 for offset in sorted(offsets))
        records = {record.schedule.key: record for pick in picks for record in self.seen[-pick:][:1]}
        made = [
            Firing(
                claim=self._claim_of(record, moments, overlap),
                revision=record.revision,
                due=record.due or 0.0,
                until=max(moments, default=now / 1000) if moves else None,
                next_due=None if next_due is None else now / 1000 + next_due,
                not_fired=(_missed(record.schedule.key, (now - 7000) / 1000),) if missed else (),
            )
            for record in records.values()
        ]
        self.firings += made
        self._fire(made)

    @precondition(lambda self: self.firings)
    @rule(pick=st.integers(1, 5))
    def repeat_a_firing(self, pick: int) -> None:
        """Repeat one of the latest firings."""
        self._look_at_the_clock()
        self._fire(self.firings[-pick:][:1])

    def _fire(self, firings: list[Firing]) -> None:
        expected = [self.model.fire(firing) for firing in firings]
        assert self._run(self.store.fire_schedules(firings)) == expected

    @rule(fingerprint=st.sampled_from(["f", "g", None, None]))
    def deploy(self, fingerprint: str | None) -> None:
        """Register a version of an app whose code has an entry of the first key, or none."""
        self._look_at_the_clock()
        key, entry = KEYS[0], self.model.entry(KEYS[0])
        crons = [_definition(key, fingerprint, "cron")] if fingerprint else []
        added, changed, removed = entry.register(fingerprint)
        changes = self._run(self.ledger.register_crons("code", str(fingerprint), crons, ttl=NO_LAPSE))
        assert changes == CronChanges(added=[key] * added, changed=[key] * changed, removed=[key] * removed)

    @rule(key=keys, paused=st.booleans())
    def pause_or_resume(self, key: CronKey, paused: bool) -> None:
        """Pause or resume what has this key."""
        self._look_at_the_clock()
        entry = self.model.entry(key)
        if paused:
            assert self._run(self.ledger.pause_cron(key, note="", by="me")) is not entry.paused
        else:
            assert self._run(self.ledger.resume_cron(key)) is entry.paused
            if entry.paused:
                entry.arm()
        entry.paused = paused

    @rule(queue=st.sampled_from("qr"))
    def begin_jobs(self, queue: str) -> None:
        """Claim all jobs of a queue: there is one for each tick that was won, and no more."""
        request = ClaimRequest(
            worker_id="runner", queues=(queue,), limit=100, lease=NO_LAPSE, request_id=f"claim-{next(self._ids)}"
        )
        leases = self._run(self.broker.claim(request)).leases
        expected = {id: payload for (of, id), payload in self.model.jobs.items() if of == queue}
        assert {lease.job_id: lease.payload for lease in leases} == expected
        assert len(leases) == len(expected)
        self.model.jobs = {key: payload for key, payload in self.model.jobs.items() if key[0] != queue}
        for lease in leases:
            (key,) = [key for key in KEYS if key.queue == queue and lease.job_id.startswith(f"cron:{key.name}:")]
            self.leases.append((key, lease))
        for key in KEYS:
            if key.queue == queue:
                entry = self.model.entry(key)
                entry.started += entry.waiting
                entry.waiting.clear()

    @precondition(lambda self: self.leases)
    @rule(pick=st.integers(0, 9))
    def end_a_job(self, pick: int) -> None:
        """Settle a job, and record its tick."""
        key, lease = self.leases.pop(pick % len(self.leases))
        entry = self.model.entry(key)
        (tick,) = [tick for tick in entry.started if tick_id(key.name, tick / 1000) == lease.job_id]
        self._run(self.broker.settle([Completed(lease=lease)]))
        entry.started.remove(tick)
        moment = tick / 1000
        record = TickRecord(
            name=key.name, queue=key.queue, tick=moment, status=TickStatus.OK, finished_at=moment, job_id=lease.job_id
        )
        self._run(self.ledger.record_ticks([record]))
        entry.end(tick, "runner")

    @rule(seconds=st.sampled_from([0.3, 1.3, 6.3, 11.3]))
    def let_time_pass(self, seconds: float) -> None:
        """Wait."""
        self._run(self.pass_time(seconds))

    @invariant()
    def schedules_equal_the_model(self) -> None:
        """The schedules of each app are listed page by page as the model has them, and nothing else is."""
        if not hasattr(self, "broker"):
            return
        for app in APPS:
            listed: list[ScheduleRecord] = []
            after: CronKey | None = None
            while page := self._run(self.store.list_schedules(app, after=after, limit=2)):
                listed += page
                assert len(listed) <= len(KEYS)
                after = page[-1].schedule.key
            assert listed == self.model.records(app)
            self.seen += [record for record in listed if record not in self.seen]

    @rule(key=keys)
    def look_at_one(self, key: CronKey) -> None:
        """A schedule, its status and the records of its ticks are equal."""
        self._look_at_the_clock()
        known, entry = self.model.schedules.get(key), self.model.entry(key)
        assert self._run(self.store.get_schedule(key)) == (known.record() if known else None)
        history = self._run(self.ledger.tick_history(key, limit=1000))
        records = [(ms(record.tick), (record.status.value, record.reason)) for record in history]
        assert records == sorted(entry.records.items(), reverse=True)[:100]
        status = self._run(self.ledger.cron_status(key))
        declared = self.model.is_declared(key)
        assert (status is not None) == (known is not None or entry.registered is not None)
        if status is None:
            return
        if known is not None and not declared:
            assert (status.definition, status.app) == (known.stored.definition, known.stored.app)
            assert (ms(status.armed_at), status.retired_at) == (known.since, None)
        else:
            assert (status.definition.kind, status.app) == ("cron", "code")
            assert (ms(status.armed_at), status.retired_at is None) == (entry.armed, declared)
        _compare(status, entry)

    def _claim_of(self, record: ScheduleRecord, moments: tuple[float, ...], overlap: Overlap) -> TickClaim:
        stored = record.schedule
        return TickClaim(
            name=stored.key.name,
            queue=stored.key.queue,
            ticks=moments,
            fingerprint=stored.definition.fingerprint,
            worker_id="w",
            request_id=f"bid-{next(self._ids)}",
            overlap=overlap,
            job=stored.job,
        )

    def _look_at_the_clock(self) -> None:
        self.model.look(ms(self._run(self.broker.time())))


def _compare(status: CronStatus, entry: LedgerModel) -> None:
    assert ms(status.last_tick or 0) == (entry.last_tick or 0)
    assert (status.pause is not None) == entry.paused
    assert (status.running is not None) == entry.is_going_on()
    assert status.counts == entry.counts()


def _definition(key: CronKey, fingerprint: str, kind: str) -> CronDefinition:
    fields: dict[str, Any] = {"queue": key.queue, "name": key.name, "kind": kind, "expression": "", "tz": ""}
    return msgspec.convert({**fields, "fingerprint": fingerprint, "unique": True}, CronDefinition)


def _missed(key: CronKey, tick: float) -> TickRecord:
    return TickRecord(name=key.name, queue=key.queue, tick=tick, status=TickStatus.MISSED, reason=TickReason.NO_WORKER)
