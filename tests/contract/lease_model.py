"""A model of the lease protocol as values and transitions, small enough to visit every state.

`Rules` says what a broker does with one job; each method takes a job and returns the job
after. `explore` plays all that workers, time and lost answers can do with it, breadth first,
and returns the first promise that is broken, with the way that led there.

A failover may lose the latest claim of a job, once. Time is only whether a lease has run out. A worker forgets a lease when it hears that its
report was written or its lease lost, or when it crashes; when the answer is lost it keeps it
and may report again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["MAX_CRASHES", "Job", "Rules", "Run", "Violation", "explore"]

MAX_CRASHES, SUSPECT_AFTER = 3, 2
WORKERS = ("w1", "w2")
READY, LEASED, DONE, DEAD, CANCELLED = "ready", "leased", "done", "dead", "cancelled"
ENDED = (DONE, DEAD, CANCELLED)


class Run(NamedTuple):
    """What a worker believes to hold of a job."""

    worker: str
    epoch: int


class Job(NamedTuple):
    """A job: first what a broker stores, then what only an onlooker knows."""

    place: str = READY
    epoch: int = 0
    attempt: int = 0
    crashes: int = 0
    hand_backs: int = 0
    holder: str = ""
    fresh: bool = False
    """Whether the lease has time left."""
    started: int = 0
    """Runs that were begun."""
    refunded: int = 0
    """Runs that were given back or handed back."""
    unstarted: int = 0
    """Runs that were handed back since the latest one that began the task."""
    lost: int = 0
    """Claims that a failover has lost."""
    reaped: int = 0
    accepted: tuple[Run, ...] = ()
    """Runs whose report has ended the job."""
    wrong: frozenset[str] = frozenset()
    """Promises that a step has broken."""

    def but(self, wrong: str) -> Job:
        """Return the job with a broken promise noted."""
        return self._replace(wrong=self.wrong | {wrong})


class Rules:
    """What a broker does. A mutant overrides a rule."""

    suspects_run_alone = True

    def holds(self, job: Job, run: Run) -> bool:
        """Whether a lease is the one that counts."""
        return job.place == LEASED and (job.holder, job.epoch) == run

    def claim(self, job: Job, worker: str) -> Job:
        """Lease a job."""
        return job._replace(
            place=LEASED, epoch=job.epoch + 1, attempt=job.attempt + 1, holder=worker, fresh=True,
            started=job.started + 1,
        )  # fmt: skip

    def extend(self, job: Job, run: Run) -> Job | None:
        """Let a lease run on; None when it is lost."""
        return job._replace(fresh=True) if self.holds(job, run) else None

    def complete(self, job: Job, run: Run) -> Job | None:
        """Write that the task returned; None when the report is refused."""
        return job._replace(place=DONE, accepted=(*job.accepted, run)) if self.holds(job, run) else None

    def retry(self, job: Job, run: Run) -> Job | None:
        """Write that the attempt failed and another is wanted; None when the report is refused."""
        return job._replace(place=READY, hand_backs=0, unstarted=0) if self.holds(job, run) else None

    def release(self, job: Job, run: Run) -> Job | None:
        """Take an unfinished job back; None when the report is refused."""
        if not self.holds(job, run):
            return None
        return job._replace(place=READY, attempt=job.attempt - 1, refunded=job.refunded + 1)

    def hand_back(self, job: Job, run: Run) -> Job | None:
        """Take a job back that the worker cannot run; None when the report is refused."""
        back = self.release(job, run)
        return back and back._replace(hand_backs=job.hand_backs + 1, unstarted=job.unstarted + 1)

    def reap(self, job: Job) -> Job | None:
        """Take a job back whose lease ran out; None when it is none."""
        return self.taken_back(job) if job.place == LEASED and not job.fresh else None

    def taken_back(self, job: Job) -> Job:
        """Return the job of a worker that vanished."""
        crashes = job.crashes + 1
        place = DEAD if crashes >= MAX_CRASHES else READY
        return job._replace(place=place, crashes=crashes, reaped=job.reaped + 1, hand_backs=0, unstarted=0)

    def cancel(self, job: Job) -> Job | None:
        """Cancel a job; None if it has ended."""
        return None if job.place in ENDED else job._replace(place=CANCELLED)


class State(NamedTuple):
    """All jobs, and the leases that workers believe to hold: worker, number of the job, epoch."""

    jobs: tuple[Job, ...]
    held: frozenset[tuple[str, int, int]] = frozenset()

    def put(self, n: int, job: Job) -> State:
        """Return the state with one job replaced."""
        return self._replace(jobs=(*self.jobs[:n], job, *self.jobs[n + 1 :]))


class Violation(NamedTuple):
    """A promise that does not hold, and the steps after which it does not."""

    promise: str
    steps: tuple[str, ...]


def explore(rules: Rules, *, jobs: int = 1, epochs: int = 3) -> tuple[int, Violation | None]:
    """Return the number of states, and the first broken promise.

    Args:
        rules: What the broker does.
        jobs: How many jobs there are.
        epochs: Claims after which a job is not claimed again, so that the number of states is finite.
    """
    start = State((Job(),) * jobs)
    ways: dict[State, tuple[State, str] | None] = {start: None}
    successors: dict[State, list[State]] = {}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        if promise := _broken(state):
            return len(ways), Violation(promise, _steps(ways, state))
        successors[state] = []
        for step, following in _moves(rules, state, epochs):
            if not step.startswith("cancel"):  # a job has to end without being cancelled
                successors[state].append(following)
            if following not in ways:
                ways[following] = state, step
                waiting.append(following)
    stuck = _stuck(successors, epochs)
    return len(ways), Violation("every job comes to an end", _steps(ways, stuck)) if stuck else None


def _moves(rules: Rules, state: State, epochs: int) -> Iterator[tuple[str, State]]:
    for n, job in enumerate(state.jobs):
        yield from _of_the_broker(rules, state, n, job)
        if job.place == READY and job.epoch < epochs:
            yield from _claims(rules, state, n, job)
    for lease in state.held:
        yield from _reports(rules, state, *lease)
    for worker in WORKERS:
        yield f"{worker} crashes", state._replace(held=frozenset(held for held in state.held if held[0] != worker))


def _of_the_broker(rules: Rules, state: State, n: int, job: Job) -> Iterator[tuple[str, State]]:
    if job.place == LEASED and job.fresh:
        yield f"lease {n} runs out", state.put(n, job._replace(fresh=False))
    if (back := rules.reap(job)) is not None:
        stolen = job.place != LEASED or job.fresh
        yield f"reap {n}", state.put(n, back.but("a live lease is never stolen") if stolen else back)
    if job.place == LEASED and job.fresh and not job.lost and len(state.jobs) == 1:
        lost = job._replace(place=READY, epoch=job.epoch - 1, attempt=job.attempt - 1, holder="", fresh=False, lost=1)
        yield f"a failover loses the claim of {n}", state.put(n, lost)
    if len(state.jobs) == 1 and (off := rules.cancel(job)) is not None:
        yield f"cancel {n}", state.put(n, off)


def _claims(rules: Rules, state: State, n: int, job: Job) -> Iterator[tuple[str, State]]:
    for worker in WORKERS:
        others = [state.jobs[m] for holder, m, _ in state.held if holder == worker]
        together = bool(others) and any(each.crashes >= SUSPECT_AFTER for each in (job, *others))
        if together and rules.suspects_run_alone:
            continue
        claimed = rules.claim(job, worker)
        if together:
            claimed = claimed.but("a suspect runs alone")
        held = state.held | {(worker, n, claimed.epoch)}
        yield f"{worker} claims {n}", state.put(n, claimed)._replace(held=held)


def _reports(rules: Rules, state: State, worker: str, n: int, epoch: int) -> Iterator[tuple[str, State]]:
    job = state.jobs[n]
    run = Run(worker, epoch)
    entitled = job.place == LEASED and (job.holder, job.epoch) == run
    forgotten = state._replace(held=state.held - {(worker, n, epoch)})
    for name in ("extend", "complete", "retry", "release", "hand_back") if len(state.jobs) == 1 else ("complete",):
        after: Job | None = getattr(rules, name)(job, run)
        if after is not None and not entitled:
            after = after.but("only the holder of the current epoch and its worker have a say")
        step = f"{worker} {name}s {n} under epoch {epoch}"
        reached = job if after is None else after
        if name == "extend":
            yield step, (forgotten if after is None else state).put(n, reached)
        else:
            yield step, forgotten.put(n, reached)
            yield f"{step}, and the answer is lost", state.put(n, reached)


def _broken(state: State) -> str:
    """Return a promise that does not hold in a state; nothing when all do."""
    for job in state.jobs:
        promises = {
            "a job ends once": len(job.accepted) <= 1,
            "a job is done when its holder says so, and not otherwise": (job.place == DONE) == bool(job.accepted),
            "every run is counted before it starts": job.attempt == job.started - job.refunded - job.lost,
            "hand-backs are counted apart from attempts and crashes": job.hand_backs == job.unstarted,
            "every crash is counted": job.crashes == job.reaped,
            "a job is dead after MAX_CRASHES crashes, and not before": (job.place == DEAD)
            == (job.crashes >= MAX_CRASHES),
            "each claim that is not lost has an epoch of its own": job.epoch == job.started - job.lost,
        }
        broken = [promise for promise, holds in promises.items() if not holds]
        if broken or job.wrong:
            return next(iter([*job.wrong, *broken]))
    return ""


def _stuck(successors: dict[State, list[State]], epochs: int) -> State | None:
    """Return a state from which no way leads to the end of all jobs, be it the end of the world."""
    before: dict[State, list[State]] = {}
    for state, reached in successors.items():
        for each in reached:
            before.setdefault(each, []).append(state)
    good = [s for s in successors if all(job.place in ENDED or job.epoch == epochs for job in s.jobs)]
    seen = set(good)
    while good:
        for state in before.get(good.pop(), ()):
            if state not in seen:
                seen.add(state)
                good.append(state)
    return next((state for state in successors if state not in seen), None)


def _steps(ways: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    steps: list[str] = []
    while (way := ways[state]) is not None:
        state, step = way
        steps.append(step)
    return tuple(reversed(steps))
