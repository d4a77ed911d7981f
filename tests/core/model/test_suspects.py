"""How jobs run again whose worker crashed, and which of their crashes is the last."""

from __future__ import annotations

import pytest

from aioq.model.suspects import MAX_EXCUSED, TURN, CrashHistory, Plan, Room, after_crash, plan_claim


def plan(room: Room | None = None, *, worker: str = "w1", now: float = 100, **changes: object) -> Plan:
    """Return the plan of a busy worker with a lease of 3 s; one suspect and 16 observed jobs wait."""
    fields: dict[str, object] = {"empty": False, "observes": True, "suspects": 1, "observed": 16, "lease": 3.0}
    return plan_claim(room, worker_id=worker, now=now, **{**fields, **changes})  # type: ignore[arg-type]


def crash(past: CrashHistory, *, ran: float = 0.0, alone: bool = True, limit: int = 3, workers: int = 0) -> str:
    """Return crashes and probation after a crash at 100 s with a lease of 3 s, and whether the job is dead."""
    history, dead = after_crash(
        past, ran=ran, alone=alone, max_crashes=limit, crashed_workers=workers, lease=3, now=100
    )  # fmt: skip
    return f"{history.crashes} crashes, {history.probation:g} s{', dead' if dead else ''}"


def test_plan_claim_empty_worker_takes_suspect_and_nothing_else() -> None:
    """It ends the turn of the worker that made room."""
    assert plan(Room("w2", 120), empty=True) == Plan(suspect=True, observed=0, alone_for=0, room=None)


def test_plan_claim_without_suspects_takes_a_part_of_observed_jobs() -> None:
    """A fifteenth, rounded up, of up to 25 jobs, and all of more; none if the worker does not observe now."""
    parts = [plan(suspects=0, observed=n).observed for n in (0, 1, 15, 16, 25, 26, 150)]
    assert parts == [0, 1, 1, 2, 2, 26, 150]
    assert plan(suspects=0, observes=False).observed == 0


def test_plan_claim_one_busy_worker_makes_room() -> None:
    """It asks again after a third of its lease; the others go on."""
    first = plan()
    assert first == Plan(suspect=False, observed=0, alone_for=1, room=Room("w1", 100 + TURN * 3))
    assert plan(first.room, worker="w2").observed == 2
    assert plan(first.room, now=129.5).alone_for == 0.5


def test_plan_claim_turn_passes_to_another_worker() -> None:
    """The worker itself makes no room again for as long as its turn was."""
    room = Room("w1", 130)
    assert plan(room, now=130).alone_for == 0
    assert plan(room, now=159).alone_for == 0
    assert plan(room, now=160).alone_for == 1
    assert plan(room, worker="w2", now=130).room == Room("w2", 160)


@pytest.mark.parametrize(
    ("past", "ran", "expected"),
    [
        (CrashHistory(), 0.0, "1 crashes, 1 s"),
        (CrashHistory(), 60.0, "1 crashes, 61 s"),
        (CrashHistory(1, 61.0, 50.0), 60.0, "2 crashes, 61 s"),
        (CrashHistory(1, 1.0, 50.0), 1.0, "1 crashes, 2 s"),
        (CrashHistory(1, 4.0, 50.0), 5.0, "1 crashes, 8 s"),
        (CrashHistory(2, 1.0, 50.0), 20.0, "2 crashes, 21 s"),
    ],
)
def test_after_crash_counts_unless_run_cleared_the_job(past: CrashHistory, ran: float, expected: str) -> None:
    """A run that lasted for the probation counts no crash; the next one has to last twice as long at least."""
    assert crash(past, ran=ran) == expected


def test_after_crash_beside_others_is_never_the_last() -> None:
    """Only a job that ran alone is dead at its limit."""
    past = CrashHistory(9, 1.0, 50.0)
    assert crash(past, alone=False) == "10 crashes, 1 s"
    assert crash(past, alone=True) == "10 crashes, 1 s, dead"


def test_after_crash_is_excused_while_other_workers_crash() -> None:
    """A suspect that crashes alone is started again, a few times."""
    dead = [
        crash(CrashHistory(crashes, 1.0, 50.0), workers=9).endswith("dead") for crashes in range(2, 4 + MAX_EXCUSED)
    ]
    assert dead == [False] * MAX_EXCUSED + [True, True]
    assert crash(CrashHistory(2, 1.0, 50.0), workers=3).endswith("dead")
    assert crash(CrashHistory(), limit=1, workers=9).endswith("dead")
