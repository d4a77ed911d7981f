"""The lease protocol keeps its promises in every state; broken in any of these ways, it does not."""

from __future__ import annotations

import pytest

from tests.contract.lease_model import DONE, LEASED, READY, Job, Rules, Run, explore


def test_lease_model_invariants_hold_in_every_state() -> None:
    """The invariants hold for two workers and one job, with lost answers and leases that run out."""
    states, violation = explore(Rules())
    assert violation is None
    assert states > 256


def test_lease_model_suspects_run_alone_and_end() -> None:
    """Of two jobs and two workers, a suspect never runs beside another job, and both jobs end."""
    states, violation = explore(Rules(), jobs=2)
    assert violation is None
    assert states > 256


class AnyEpochSettles(Rules):
    """A report counts whatever its epoch is."""

    def complete(self, job: Job, run: Run) -> Job | None:
        return job._replace(place=DONE, accepted=(*job.accepted, run)) if job.place == LEASED else None


class AnyEpochRetries(Rules):
    """A failed attempt counts whatever its epoch is."""

    def retry(self, job: Job, run: Run) -> Job | None:
        return job._replace(place=READY) if job.place == LEASED else None


class ReapsLiveLeases(Rules):
    """The deadline is not looked at."""

    def reap(self, job: Job) -> Job | None:
        return self.taken_back(job) if job.place == LEASED else None


class CountsAttemptsLate(Rules):
    """An attempt counts when it is over."""

    def claim(self, job: Job, worker: str) -> Job:
        return super().claim(job, worker)._replace(attempt=job.attempt)


class ExtendRevives(Rules):
    """A lease that was reaped comes back to life."""

    def extend(self, job: Job, run: Run) -> Job | None:
        return (
            job._replace(place=LEASED, fresh=True)
            if (job.holder, job.epoch) == run and job.place in (READY, LEASED)
            else None
        )


class SettlesTwice(Rules):
    """A repeated report is written again."""

    def complete(self, job: Job, run: Run) -> Job | None:
        ours = (job.holder, job.epoch) == run and job.place in (LEASED, DONE)
        return job._replace(place=DONE, accepted=(*job.accepted, run)) if ours else None


class ReleasesWithoutRefund(Rules):
    """What is given back costs an attempt."""

    def release(self, job: Job, run: Run) -> Job | None:
        back = super().release(job, run)
        return back and back._replace(attempt=job.attempt)


class KeepsTheEpoch(Rules):
    """A job that is claimed again has the epoch that it had."""

    def claim(self, job: Job, worker: str) -> Job:
        return super().claim(job, worker)._replace(epoch=max(job.epoch, 1))


class ForgetsCrashes(Rules):
    """A job may take down workers for ever."""

    def taken_back(self, job: Job) -> Job:
        return job._replace(place=READY, reaped=job.reaped + 1)


class NeverDead(Rules):
    """Crashes are counted, and nothing comes of it."""

    def taken_back(self, job: Job) -> Job:
        return super().taken_back(job)._replace(place=READY)


class PopIsLoss(Rules):
    """The lease of a vanished worker is not reaped."""

    def reap(self, job: Job) -> Job | None:
        return None


class CancelledJobsComeBack(Rules):
    """A settlement ends a cancelled job a second time."""

    def holds(self, job: Job, run: Run) -> bool:
        return job.place in (LEASED, "cancelled") and (job.holder, job.epoch) == run


class HandBacksCountAsAttempts(Rules):
    """What is handed back costs an attempt."""

    def hand_back(self, job: Job, run: Run) -> Job | None:
        back = super().hand_back(job, run)
        return back and back._replace(attempt=job.attempt)


class AttemptsCountAsHandBacks(Rules):
    """A failed attempt leaves one hand-back less."""

    def retry(self, job: Job, run: Run) -> Job | None:
        back = super().retry(job, run)
        return back and back._replace(hand_backs=job.hand_backs + 1)


class AnyWorkerSettles(Rules):
    """A report counts whichever worker it is of, if the epoch is right."""

    def holds(self, job: Job, run: Run) -> bool:
        return job.place == LEASED and job.epoch == run.epoch


ONE_JOB = [
    HandBacksCountAsAttempts,
    AttemptsCountAsHandBacks,
    AnyWorkerSettles,
    AnyEpochSettles,
    AnyEpochRetries,
    ReapsLiveLeases,
    CountsAttemptsLate,
    ExtendRevives,
    SettlesTwice,
    ReleasesWithoutRefund,
    KeepsTheEpoch,
    ForgetsCrashes,
    NeverDead,
    PopIsLoss,
    CancelledJobsComeBack,
]


@pytest.mark.parametrize("mutant", ONE_JOB, ids=lambda mutant: mutant.__name__)
def test_lease_model_detects_mutants(mutant: type[Rules]) -> None:
    """The model detects wrong rules and shows how they fail."""
    _, violation = explore(mutant())
    assert violation is not None
    assert violation.steps


class SuspectsRunBesideOthers(Rules):
    """A job that crashed twice is claimed like any other."""

    suspects_run_alone = False


def test_lease_model_detects_suspect_beside_job() -> None:
    """The model of two jobs detects a suspect that runs beside another job."""
    _, violation = explore(SuspectsRunBesideOthers(), jobs=2)
    assert violation is not None
    assert violation.promise == "a suspect runs alone"
