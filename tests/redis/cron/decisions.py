"""Makes random cases for the ledger's decision, stores them as the scripts do, and reads back what a script left."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aioq.model.cron import CronKey, Overlap, TickClaim, TickOutcome, TickRecord
from aioq.model.ids import tick_id
from aioq.model.job import NewJob
from aioq.model.ledger import AcceptedClaim, Decision, EntryRun, EntryState, RunJob
from aioq_redis.storage.job_format import encode_record
from aioq_redis.storage.tick_format import owner_of, read_record, to_milliseconds

__all__ = ["NOW", "Case", "cases"]

NOW = 1_800_000_000_000
"""The script's clock, in ms."""

OFFSETS = (-130_000, -5_000, -1_000, -1, 0, 1, 250, 999, 1_000, 1_001, 60_000)
"""Ticks, relative to the clock: some may be claimed, one is just too early."""

AGES = (0, 1, 60_000, 119_999, 120_000, 120_001, 500_000)
"""Ages of accepted claims: answers are remembered for 120,000 ms."""

REMEMBERED = AGES[:4]

OVERLAPS: tuple[Overlap, ...] = ("allow", "skip", "queue_one", "queue_one", "queue_one", "cancel")
HELD_UP = (RunJob.ENDED, RunJob.WAITING)
"""Where the job of a run may stand while that of the run before goes on."""
ENDS = (TickOutcome.WON, TickOutcome.PAUSED, TickOutcome.BUSY)
WAITING_LINES = ("", "p0 1 {at} 0 0 {at} w9", "s0 2 {at} 0 0 {at} w9")
STARTED_LINES = ("r0 1 {at} 1 0 {at} w9", "y1 1 {at} 1 0 {at} w9", "c2 1 {at} 1 1/5@{at} {at} w9")
"""Histories of jobs; see `lua/lib/runs.lua`."""


@dataclass
class Case:
    """The state of an entry, a claim, and the jobs that the broker has."""

    name: str
    state: EntryState
    claim: TickClaim
    run_line: str
    """The history of the run's job; empty if it was never claimed."""
    known: set[str]
    """Ids of jobs that are stored, perhaps with other arguments."""
    retired: bool
    """Whether an entry that is not active is retired; otherwise it is disabled."""

    @property
    def key(self) -> CronKey:
        """The entry."""
        return CronKey("q", self.name)

    def store(self, pipe: Any, cron: str, jobs: str, runs: str) -> None:
        """Write what the scripts would have written."""
        pipe.hset(cron, mapping={**_registration(self), **_fields(self.state)})
        for job_id in self.known:
            pipe.hset(jobs, job_id, f"{NOW} ".encode() + encode_record(_job(self.claim.queue, b"of old")))
        if self.run_line and self.state.run:
            pipe.hset(runs, tick_id(self.name, self.state.run.tick / 1000), self.run_line)

    def expected(
        self, decision: Decision
    ) -> tuple[dict[str, str], dict[tuple[int, str], TickRecord], dict[str, bytes]]:
        """Return the fields of the entry, the records, and the jobs, as `found` does."""
        fields = _fields(decision.entry or self.state)
        records = {(to_milliseconds(record.tick), owner_of(record)): record for record in decision.records}
        # The script adds that no job of the entry has completed.
        jobs = {
            job.id: encode_record(job).replace(b"\n", b'{"s":0}\n', 1)
            for job in decision.jobs
            if job.id not in self.known
        }
        return fields, records, jobs

    def found(
        self, fields: dict[bytes, bytes], members: list[bytes], jobs: dict[bytes, bytes]
    ) -> tuple[dict[str, str], dict[tuple[int, str], TickRecord | None], dict[str, bytes]]:
        """Return what a script has stored."""
        ours = {"last_tick", "last_tick_by", "claim", "earlier_claims", "run"}
        texts = {name.decode(): value.decode() for name, value in fields.items() if name.decode() in ours and value}
        records = [(member.decode().partition("\n")[0].split(" "), read_record(self.key, member)) for member in members]
        prefix = tick_id(self.name, 0)[:-1]
        added = {id.decode(): record for id, record in jobs.items() if id.decode().startswith(prefix)}
        return (
            texts,
            {(int(tick), owner): record for (tick, owner), record in records},
            {id: record.partition(b" ")[2] for id, record in added.items() if id not in self.known},
        )


def cases(dice: random.Random, number: int) -> list[Case]:
    """Return random cases, each of another entry."""
    return [_case(dice, f"entry-{n}") for n in range(number)]


def _case(dice: random.Random, name: str) -> Case:
    claim = _claim(dice, name)
    state = _state(dice, claim)
    line, known = "", set(_known(dice, claim))
    if state.run and state.run.has_job:
        job_id = tick_id(name, state.run.tick / 1000)
        known.discard(job_id)
        if state.job is not RunJob.ENDED:
            known.add(job_id)
            line = dice.choice(WAITING_LINES if state.job is RunJob.WAITING else STARTED_LINES).format(at=NOW - 9)
        if state.run.after is not None:
            # The job of the earlier run has not ended: so this one was not started, although a worker may have it.
            known.add(tick_id(name, state.run.after / 1000))
            line = dice.choice((*WAITING_LINES, *STARTED_LINES)).format(at=NOW - 9)
    return Case(name, state, claim, line, known, retired=dice.random() < 0.5)


def _claim(dice: random.Random, name: str) -> TickClaim:
    ticks = tuple(_tick(offset) for offset in sorted(dice.sample(OFFSETS, dice.choice((1, 1, 2, 3)))))
    job = _job("q", b"[0]") if dice.random() < 0.5 else None
    return TickClaim(
        name=name, queue="q", ticks=ticks, fingerprint=dice.choice("fffffg"), worker_id=dice.choice(("w1", "w2")),
        request_id=f"r{dice.randrange(14)}", overlap=dice.choice(OVERLAPS), run=dice.choice((0.5, 30.0)), job=job,
        payloads=tuple(b"[%d]" % n for n in range(len(ticks))) if job and dice.random() < 0.5 else (),
    )  # fmt: skip


def _state(dice: random.Random, claim: TickClaim) -> EntryState:
    requests = [f"r{n}" for n in dice.sample(range(14), 13)]
    ages = AGES if dice.random() < 0.5 else REMEMBERED
    latest = _accepted(dice, requests.pop(), ages) if dice.random() < 0.8 else None
    if latest and dice.random() < 0.35:
        waiting = tuple(_tick(offset) for offset in sorted(dice.sample(OFFSETS, dice.choice((1, 2)))))
        request = claim.request_id if dice.random() < 0.5 else latest.request_id
        latest = AcceptedClaim(request, TickOutcome.QUEUED, latest.at, latest.before, latest.previous, waiting)
    run = _run(dice) if dice.random() < 0.8 else None
    return EntryState(
        registered=dice.choice((None, "f", "f", "f")),
        active=dice.random() < 0.9,
        paused=dice.random() < 0.15,
        last_tick=_maybe_tick(dice),
        last_tick_by=dice.choice("ffg"),
        latest=latest,
        earlier=tuple(_accepted(dice, requests.pop(), ages) for _ in range(dice.choice((0, 0, 1, 3, 9, 10)))),
        run=run,
        job=dice.choice(list(RunJob) if run.after is None else HELD_UP) if run and run.has_job else RunJob.ENDED,
    )


def _accepted(dice: random.Random, request: str, ages: tuple[int, ...]) -> AcceptedClaim:
    before = _maybe_tick(dice)
    previous = before if dice.random() < 0.7 else None
    return AcceptedClaim(request, dice.choice(ENDS), NOW - dice.choice(ages), before, previous)


def _run(dice: random.Random) -> EntryRun:
    until = NOW + dice.choice((-1, 0, 1, 1, 30_000))
    has_job, ended = dice.random() < 0.5, dice.random() < 0.1
    after = NOW - 999 if has_job and not ended and dice.random() < 0.3 else None
    worker = dice.choice(("w1", "w2", "w3"))
    return EntryRun(NOW + dice.choice(OFFSETS), worker, until, has_job and not ended, ended, after)


def _known(dice: random.Random, claim: TickClaim) -> Iterator[str]:
    """Yield ids of the claim's ticks whose jobs are stored already."""
    for tick in claim.ticks:
        if dice.random() < 0.1:
            yield tick_id(claim.name, tick)


def _tick(offset: int) -> float:
    return (NOW + offset) / 1000


def _maybe_tick(dice: random.Random) -> int | None:
    return NOW + dice.choice(OFFSETS) if dice.random() < 0.85 else None


def _job(queue: str, payload: bytes) -> NewJob:
    return NewJob(id="template", task="t", queue=queue, payload=payload)


def _registration(case: Case) -> dict[str, str]:
    state = case.state
    fields = {"enabled": "-" if not state.active and not case.retired else "+"}
    if state.registered is not None:
        fields["fingerprint"] = state.registered
    if not state.active and case.retired:
        fields["retired"] = str(NOW - 5)
    if state.paused:
        fields["paused"] = f"{NOW - 5} r {{}}"
    return fields


def _fields(state: EntryState) -> dict[str, str]:
    """Return the fields of an entry that claims change; see `lua/lib/tick_claims.lua` and `tick_runs.lua`."""
    fields = {
        "last_tick": _text(state.last_tick),
        "last_tick_by": state.last_tick_by if state.last_tick is not None else "",
        "earlier_claims": "\n".join(map(_line, state.earlier)),
    }
    if state.latest:
        fields["claim"] = (
            f"{_line(state.latest)}\n{' '.join(str(to_milliseconds(tick)) for tick in state.latest.waiting)}"
        )
    if state.run:
        run = state.run
        kind = "e" if run.ended else f"j{_text(run.after)}" if run.has_job else "w"
        fields["run"] = f"{run.tick} {run.until} {kind} {run.worker_id}"
    return {name: text for name, text in fields.items() if text}


def _line(claim: AcceptedClaim) -> str:
    previous = "=" if claim.before is not None and claim.previous == claim.before else _text(claim.previous)
    return f"{claim.outcome.value} {_text(claim.before)} {previous} {claim.at} {claim.request_id}"


def _text(tick: int | None) -> str:
    return "" if tick is None else str(tick)
