"""Which worker claims the ticks of a moment at once, and when the others do."""

from __future__ import annotations

from collections import Counter

import pytest

from aioq.model.claim_order import FOLLOW, SPREAD, claim_delay, favourite_of

START = 1_767_225_600
"""2026-01-01T00:00:00Z."""

HOUR = 3_600

WORKERS = [f"host-{number}-4f2a9c" for number in range(100, 200)]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 20])
def test_claim_delay_one_worker_is_favourite(count: int) -> None:
    """One worker claims at once, and the others one after the other, all within the spread."""
    workers = WORKERS[:count]
    for moment in range(START, START + 100):
        delays = {worker: claim_delay(moment, workers, worker) for worker in workers}
        assert delays.pop(favourite_of(moment, workers)) == 0
        assert len(set(delays.values())) == count - 1
        assert all(FOLLOW <= delay < SPREAD for delay in delays.values())
        assert not delays or min(delays.values()) == FOLLOW


@pytest.mark.parametrize("workers", [[], WORKERS[1:4]], ids=["none is known", "not among them"])
def test_claim_delay_unlisted_worker_waits_for_hash(workers: list[str]) -> None:
    """A worker that does not know its place spreads its claims over the whole time."""
    delays = [claim_delay(moment, workers, WORKERS[0]) for moment in range(START, START + 200)]
    assert all(0 <= delay < SPREAD for delay in delays)
    assert min(delays) < FOLLOW
    assert max(delays) > SPREAD - FOLLOW


@pytest.mark.parametrize("every", [1, 5, 10, 15, 30, 60, 120, 180, 300, 600])
def test_favourite_shares_are_even_over_an_hour(every: int) -> None:
    """No worker is the favourite of more than 1.5 times its share, in any hour that has three ticks for each worker."""
    ticks = HOUR // every
    for count in [count for count in (2, 3, 5, 7, 16, 20, 50, 100) if 3 * count <= ticks]:
        for begin in range(START, START + 24 * HOUR, 28_740 if every < 60 else 5_340):
            first = -(-begin // every) * every
            favourites = Counter(favourite_of(first + number * every, WORKERS[:count]) for number in range(ticks))
            assert max(favourites.values()) <= 1.5 * ticks / count, (count, first)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_claim_delay_dead_worker_leaves_even_shares(count: int) -> None:
    """The ticks of a favourite that is dead are spread over all others, and no worker has more than 1.5 times its share."""
    workers, alive = WORKERS[:count], WORKERS[1:count]
    winners = Counter(
        min(alive, key=lambda worker: claim_delay(moment, workers, worker)) for moment in range(START, START + HOUR, 4)
    )
    assert max(winners.values()) <= 1.5 * HOUR / 4 / len(alive)


def test_favourite_is_equal_in_every_release() -> None:
    """The workers of two releases agree: a change of these values costs a rolling deploy its punctual ticks."""
    moments = [START + seconds for seconds in (0, 1, 60, 3_600, 86_400)]
    assert [WORKERS.index(favourite_of(moment, WORKERS[:20])) for moment in moments] == [2, 11, 4, 0, 17]
    delays = [claim_delay(moment, WORKERS[:20], WORKERS[0]) for moment in moments]
    assert [round(delay * 1000, 1) for delay in delays] == [41.6, 28.9, 39.5, 0.0, 35.3]


def test_favourite_of_part_of_a_second_is_that_of_the_second() -> None:
    """Entries that are due within one second have one favourite."""
    assert len({favourite_of(START + part / 8, WORKERS) for part in range(8)}) == 1
