"""From which queue a worker claims next, by the weights of its queues."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.model.queue_weights import (
    MAX_WEIGHT,
    QueueShares,
    Turn,
    after_claim,
    check_weights,
    first_shares,
    longest_wait,
    next_turn,
)

ENDLESS = 10**9
SHOP = {"critical": 6, "default": 3, "low": 1}

some_weights = st.lists(st.sampled_from([1, 1, 2, 3, 6, 10, 50, MAX_WEIGHT]), min_size=1, max_size=6).map(
    lambda found: {f"q{at}": weight for at, weight in enumerate(found)}
)


class Simulation:
    """A worker and queues, of which each is a number of jobs. It claims as a worker does until it has no free slot."""

    def __init__(self, weights: Mapping[str, int], slots: int, jobs: Mapping[str, int], seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.weights, self.slots, self.free, self.jobs = weights, slots, slots, dict(jobs)
        self.shares = first_shares(weights, self.random.random)
        self.claimed: Counter[str] = Counter()
        self.claims: list[tuple[Turn, dict[str, int]]] = []
        self.passed_over: Counter[str] = Counter()
        """Jobs of other queues that were claimed since a queue has jobs that are not claimed."""
        self._waits = False

    def fill(self) -> None:
        """Claim until all slots are taken or no queue has jobs."""
        while self.free and any(self.jobs.values()):
            least = 2 if self.free == self.slots > 1 else 1
            turn = next_turn(self.shares, free=self.free, least=least, waits=self._waits)
            taken = self._take(turn)
            self.claims.append((turn, taken))
            self.shares = after_claim(self.shares, turn, taken)
            self._waits = sum(taken.values()) < turn.limit

    def end_jobs(self, count: int) -> None:
        """Free slots."""
        self.free += min(count, self.slots - self.free)

    def run(self, jobs: int, at_a_time: int) -> None:
        """Let a number of jobs start, of which some end at a time."""
        while self.claimed.total() < jobs:
            self.fill()
            self.end_jobs(at_a_time)

    def add(self, queue: str, count: int) -> None:
        """Enqueue jobs."""
        self.jobs[queue] += count

    def _take(self, turn: Turn) -> dict[str, int]:
        taken: dict[str, int] = {}
        for queue in turn.queues:
            if count := min(turn.limit - sum(taken.values()), self.jobs[queue]):
                taken[queue] = count
                self.jobs[queue] -= count
        self.free -= sum(taken.values())
        self.claimed.update(taken)
        for queue in self.weights:
            waits = self.jobs[queue] and queue not in taken
            self.passed_over[queue] = self.passed_over[queue] + sum(taken.values()) if waits else 0
        return taken


@settings(max_examples=60, deadline=None)
@given(weights=some_weights, slots=st.sampled_from([1, 2, 3, 10, 40]), data=st.data())
def test_busy_queues_get_their_shares(weights: dict[str, int], slots: int, data: st.DataObject) -> None:
    """After any number of claims a queue has its part of the jobs, give or take the number of queues and slots."""
    worker = Simulation(weights, slots, dict.fromkeys(weights, ENDLESS), data.draw(st.integers(0, 99)))
    at_a_time = data.draw(st.integers(1, slots))
    for jobs in (10, 100, 1_000):
        worker.run(jobs, at_a_time)
        started = worker.claimed.total()
        for queue, weight in weights.items():
            fair = started * weight / sum(weights.values())
            assert abs(worker.claimed[queue] - fair) <= len(weights) + slots


@settings(max_examples=100, deadline=None)
@given(weights=some_weights, slots=st.sampled_from([1, 2, 3, 10, 40]), seed=st.integers(0, 10**6))
def test_no_queue_with_jobs_waits_longer_than_the_bound(weights: dict[str, int], slots: int, seed: int) -> None:
    """However jobs come and end, at most `longest_wait` jobs of other queues start before one of a queue with jobs."""
    chance = random.Random(seed)
    worker = Simulation(weights, slots, {queue: chance.choice([0, 0, 3, ENDLESS]) for queue in weights}, seed)
    for _ in range(150):
        if chance.random() < 0.15:
            worker.add(chance.choice(list(weights)), chance.choice([1, 5, 100]))
        worker.fill()
        for queue in weights:
            assert worker.passed_over[queue] <= longest_wait(weights, queue, slots=slots)
        assert worker.free == 0 or not any(worker.jobs.values())
        worker.end_jobs(chance.randint(1, slots))


@pytest.mark.parametrize("slots", [1, 10, 50])
def test_rare_jobs_of_small_weight_start_soon(slots: int) -> None:
    """A queue that gets a job now and then, beside one that is always full, is served within its bound each time."""
    worker = Simulation(SHOP, slots, {"critical": ENDLESS, "default": 0, "low": 0})
    for _ in range(200):
        worker.run(worker.claimed.total() + 37, 1)
        worker.add("low", 1)
        before = worker.claimed.total()
        while worker.jobs["low"]:
            worker.fill()
            worker.end_jobs(1)
        assert worker.claimed.total() - before <= 1 + longest_wait(SHOP, "low", slots=slots)
    assert worker.claimed["low"] == 200


def test_queues_without_jobs_leave_their_share_to_others() -> None:
    """The others divide it by their weights, and a queue that comes back gets no more than its part for its absence."""
    worker = Simulation(SHOP, 10, {"critical": 0, "default": ENDLESS, "low": ENDLESS})
    worker.run(1_000, 1)
    assert worker.claimed["low"] == pytest.approx(250, abs=5)
    worker.add("critical", ENDLESS)
    before = worker.claimed.copy()
    worker.run(2_000, 1)
    assert {queue: worker.claimed[queue] - before[queue] for queue in SHOP} == {
        queue: pytest.approx(100 * weight, abs=10) for queue, weight in SHOP.items()
    }


def test_one_busy_queue_takes_few_claims() -> None:
    """A worker whose other queues are empty claims most free slots at once, though others come first now and then."""
    worker = Simulation(SHOP, 50, {"critical": ENDLESS, "default": 0, "low": 0})
    worker.run(10_000, 25)
    assert len(worker.claims) < 2 * 10_000 / 25


def test_free_slots_are_divided_at_once() -> None:
    """A worker that starts takes of each queue its part, the queue of the largest weight first."""
    worker = Simulation(SHOP, 10, dict.fromkeys(SHOP, ENDLESS))
    worker.shares = QueueShares(SHOP, dict.fromkeys(SHOP, 0.0))
    worker.fill()
    assert worker.claimed == {"critical": 6, "default": 3, "low": 1}
    assert worker.claims[0][0].queues == ("critical", "default", "low")


def test_waiting_claim_may_take_all_slots_of_any_queue() -> None:
    """No queue had jobs: those that come first take what they need, and owe nothing for it."""
    shares = QueueShares(SHOP, {"critical": 0.0, "default": 0.3, "low": 0.9}, frozenset(SHOP))
    turn = next_turn(shares, free=10, waits=True)
    assert turn.limit == 10
    after = after_claim(shares, turn, {"low": 10})
    assert after == QueueShares(SHOP, dict.fromkeys(SHOP, 0.0), frozenset({"critical", "default"}))


def test_queue_of_small_weight_is_first_for_some_workers() -> None:
    """Workers that run one job each do not all run one of the same queue."""
    chance = random.Random(1)
    first = Counter(next_turn(first_shares(SHOP, chance.random), free=1).queues[0] for _ in range(2_000))
    assert first["critical"] > first["default"] > first["low"] > 2_000 / 20


@pytest.mark.parametrize("weight", [0, -1, MAX_WEIGHT + 1, 1.5, "3", True, None])
def test_weight_out_of_range_is_rejected(weight: Any) -> None:
    """The message names the queue and the range."""
    with pytest.raises(ValueError, match=r"^the weight of queue low must be a whole number from 1 to 1,000, got "):
        check_weights({"critical": 6, "low": weight})


def test_weight_of_invalid_queue_is_rejected() -> None:
    """The message names the queue."""
    with pytest.raises(ValueError, match="^queue 'a b' is not of the form"):
        check_weights({"a b": 1})
