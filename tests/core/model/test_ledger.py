"""The decision of a ledger on a claim: one row for each rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from aioq.model.cron import Overlap, TickClaim, TickOutcome, TickStatus
from aioq.model.job import NewJob
from aioq.model.ledger import AcceptedClaim, EntryRun, EntryState, RunJob, decide_claim
from aioq.model.states import JobState

NOW = 1_000.0
WON, BUSY, QUEUED, PAUSED = TickOutcome.WON, TickOutcome.BUSY, TickOutcome.QUEUED, TickOutcome.PAUSED
JOB = NewJob(id="template", task="t", queue="elsewhere", payload=b"[0]")
RUN = EntryRun(900_000, "w2", 1_000_001)
JOB_RUN = EntryRun(900_000, "w2", 0, has_job=True)
ENTRY = EntryState(registered="f", last_tick=900_000, last_tick_by="f")


def claim_of(*ticks: float, **changes: Any) -> TickClaim:
    """Return a claim of the entry `report`, at 1,000 s by default."""
    fields: dict[str, Any] = {"name": "report", "queue": "q", "fingerprint": "f", "worker_id": "w1", "request_id": "r"}
    return TickClaim(ticks=ticks or (NOW,), **{**fields, **changes})


@pytest.mark.parametrize(
    ("entry", "claim", "outcome"),
    [
        (EntryState(), claim_of(), WON),
        (EntryState(active=False), claim_of(), WON),
        (replace(ENTRY, active=False), claim_of(), TickOutcome.SUPERSEDED),
        (replace(ENTRY, registered="g"), claim_of(), TickOutcome.SUPERSEDED),
        (ENTRY, claim_of(NOW + 1), WON),
        (ENTRY, claim_of(NOW, NOW + 1.001), TickOutcome.EARLY),
        (ENTRY, claim_of(800.0, 900.0004), TickOutcome.LOST),
        (replace(ENTRY, last_tick_by="g"), claim_of(900.0), TickOutcome.LOST),
        (replace(ENTRY, paused=True), claim_of(), PAUSED),
        (replace(ENTRY, run=RUN), claim_of(), WON),
        (replace(ENTRY, run=RUN), claim_of(overlap="cancel"), WON),
        (replace(ENTRY, run=RUN), claim_of(overlap="skip"), BUSY),
        (replace(ENTRY, run=RUN), claim_of(overlap="queue_one"), QUEUED),
        (replace(ENTRY, run=RUN), claim_of(overlap="queue_one", job=JOB), WON),
        (replace(ENTRY, run=replace(RUN, ended=True)), claim_of(overlap="skip"), WON),
        (replace(ENTRY, run=replace(RUN, until=1_000_000)), claim_of(overlap="skip"), WON),
        (replace(ENTRY, run=JOB_RUN), claim_of(overlap="skip"), WON),
        (replace(ENTRY, run=JOB_RUN, job=RunJob.WAITING), claim_of(overlap="skip", job=JOB), BUSY),
        (replace(ENTRY, run=JOB_RUN, job=RunJob.WAITING), claim_of(overlap="queue_one", job=JOB), BUSY),
        (replace(ENTRY, run=JOB_RUN, job=RunJob.STARTED), claim_of(overlap="queue_one", job=JOB), WON),
    ],
)
def test_decide_claim_first_rule_that_applies_wins(entry: EntryState, claim: TickClaim, outcome: TickOutcome) -> None:
    """The outcome is that of the first rule; only an accepted claim moves the last tick."""
    decision = decide_claim(entry, claim, NOW)
    assert decision.reply.outcome is outcome
    accepted = outcome in (WON, BUSY, QUEUED, PAUSED)
    assert (decision.entry and decision.entry.last_tick) == (round(claim.ticks[-1] * 1000) if accepted else None)


def test_decide_claim_won_ticks_become_jobs_and_records() -> None:
    """Of three ticks the two that are new are won: each has a record and a job with its own payload."""
    claim = claim_of(900.0, 950.0, NOW, job=JOB, payloads=(b"[1]", b"[2]", b"[3]"))
    decision = decide_claim(ENTRY, claim, NOW)
    assert (decision.reply.won, decision.reply.previous) == ((950.0, NOW), 900.0)
    assert [(job.id, job.queue, job.payload) for job in decision.jobs] == [
        ("cron:report:950000", "q", b"[2]"), ("cron:report:1000000", "q", b"[3]"),
    ]  # fmt: skip
    assert [(record.tick, record.status, record.job_id) for record in decision.records] == [
        (950.0, TickStatus.FIRED, "cron:report:950000"), (NOW, TickStatus.FIRED, "cron:report:1000000"),
    ]  # fmt: skip
    assert decision.entry is not None
    assert decision.entry.run == EntryRun(1_000_000, "w1", 1_030_000, has_job=True)


def test_decide_claim_repeated_gets_the_same_answer() -> None:
    """A repetition is answered as the first time, after other claims, too, and changes nothing."""
    first = claim_of(overlap="skip")
    entry = decide_claim(ENTRY, first, NOW).entry
    assert entry is not None
    later = decide_claim(entry, claim_of(NOW + 60, request_id="s"), NOW + 60).entry
    assert later is not None
    again = decide_claim(later, first, NOW + 61)
    assert (again.reply.outcome, again.reply.won, again.entry, again.records) == (WON, (NOW,), None, ())
    assert decide_claim(later, replace(first, overlap="cancel"), NOW + 61).reply.outcome is TickOutcome.LOST


def test_decide_claim_queued_is_decided_again() -> None:
    """A claim that waits wins once the run has ended, and a newer claim takes its place before."""
    waiting = claim_of(overlap="queue_one")
    entry = decide_claim(replace(ENTRY, run=RUN), waiting, NOW).entry
    assert entry is not None
    assert entry.latest == AcceptedClaim("r", QUEUED, 1_000_000, 900_000, 900_000, (NOW,))
    assert decide_claim(entry, waiting, NOW + 1).reply.won == (NOW,)
    newer = decide_claim(entry, claim_of(NOW + 1, overlap="queue_one", request_id="s"), NOW)
    assert [(record.tick, record.reason) for record in newer.records] == [(NOW, "overlap")]
    assert newer.entry is not None
    assert newer.entry.earlier == ()


def test_decide_claim_remembers_ten_claims_of_two_minutes() -> None:
    """Besides the latest claim, the ten before it are remembered for 120 s."""
    past = tuple(AcceptedClaim(f"p{n}", WON, 880_001 - (n > 7), None, None) for n in range(10))
    entry = replace(ENTRY, latest=AcceptedClaim("l", WON, 880_001, None, None), earlier=past)
    after = decide_claim(entry, claim_of(), NOW).entry
    assert after is not None
    assert [claim.request_id for claim in after.earlier] == ["l", *(f"p{n}" for n in range(8))]
    fresh = replace(entry, earlier=tuple(replace(claim, at=999_000) for claim in past))
    kept = decide_claim(fresh, claim_of(), NOW).entry
    assert kept is not None
    assert [claim.request_id for claim in kept.earlier] == ["l", *(f"p{n}" for n in range(9))]


def test_entry_state_is_stored_as_json() -> None:
    """A state that was encoded and decoded is the same: a broker may store it as one value."""
    entry = decide_claim(replace(ENTRY, run=RUN), claim_of(overlap="queue_one"), NOW).entry
    assert msgspec.json.decode(msgspec.json.encode(entry), type=EntryState) == entry


@pytest.mark.parametrize(
    ("state", "attempt", "stands"),
    [
        (None, 0, RunJob.ENDED),
        (JobState.COMPLETED, 1, RunJob.ENDED),
        (JobState.PENDING, 0, RunJob.WAITING),
        (JobState.SCHEDULED, 0, RunJob.WAITING),
        (JobState.RUNNING, 1, RunJob.STARTED),
        (JobState.RETRYING, 1, RunJob.STARTED),
    ],
)
def test_run_job_of_record(state: JobState | None, attempt: int, stands: RunJob) -> None:
    """A job that was released, and one that was never claimed, count as waiting."""
    assert RunJob.of(state, attempt) is stands


def test_entry_state_armed_never_goes_back() -> None:
    """Arming moves the last tick to now, unless it is ahead."""
    assert ENTRY.armed(NOW).last_tick == 1_000_000
    assert ENTRY.armed(800.0).last_tick == 900_000


@pytest.mark.parametrize(
    ("overlap", "job", "after"),
    [
        ("queue_one", RunJob.STARTED, 900_000),
        ("queue_one", RunJob.ENDED, None),
        ("allow", RunJob.STARTED, None),
        ("cancel", RunJob.STARTED, None),
    ],
)
def test_run_knows_the_run_that_its_job_waits_for(overlap: Overlap, job: RunJob, after: int | None) -> None:
    """Only a job that was enqueued with `queue_one` beside a started one has to wait for it."""
    entry = decide_claim(replace(ENTRY, run=JOB_RUN, job=job), claim_of(overlap=overlap, job=JOB), NOW).entry
    assert entry is not None
    assert entry.run is not None
    assert entry.run.after == after


def test_claimed_job_is_not_started_while_the_one_before_goes_on() -> None:
    """A worker that has claimed it releases it again."""
    assert RunJob.of(JobState.RUNNING, 0, held_up=True) is RunJob.WAITING
    assert RunJob.of(JobState.RUNNING, 0) is RunJob.STARTED
