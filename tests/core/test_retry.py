"""How long to wait, and whether to try again: decided from values alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq import Retry
from aioq.model.job import Dead, Failed, Lease, Retried
from aioq.options import TaskOptions
from aioq.retry import backoff_delay, full_jitter
from aioq.worker.outcome import UNKNOWN_TASK_RETRIES, after_error, unknown_task

DAY = 86_400

attempts = st.integers(1, 2_000)
bases = st.floats(0, 315_576_000)
shares = st.floats(0, 1)
rolls = st.floats(0, 1, exclude_max=True)


def lease(attempt: int = 1, crashes: int = 0) -> Lease:
    """Return a lease for some attempt."""
    return Lease(
        job_id="j", queue="q", epoch=attempt, task="t", payload=b"{}",
        attempt=attempt, crashes=crashes, priority=5, enqueued_at=0.0,
    )  # fmt: skip


# Backoff


@given(attempts, bases)
def test_a_constant_backoff_is_constant(attempt: int, base: float) -> None:
    """Every retry waits the same, also when that is more than a day."""
    assert backoff_delay(attempt, base=base, backoff="constant") == base


@given(attempts, bases)
def test_an_exponential_backoff_never_shrinks(attempt: int, base: float) -> None:
    """Each delay is at least as long as the one before, and never above the larger of base and a day."""
    delay = backoff_delay(attempt, base=base)
    assert delay <= backoff_delay(attempt + 1, base=base) <= max(base, DAY)
    assert delay >= base


def test_an_exponential_backoff_doubles_up_to_a_day() -> None:
    """1, 2, 4, 8 ... and then the ceiling."""
    assert [backoff_delay(n, base=1.5) for n in (1, 2, 3, 4, 5)] == [1.5, 3, 6, 12, 24]
    assert backoff_delay(100, base=1.5) == DAY


@given(attempts, bases, shares, rolls)
def test_jitter_takes_off_a_share(attempt: int, base: float, jitter: float, roll: float) -> None:
    """Never more than its share is taken off, and nothing is put on."""
    whole = backoff_delay(attempt, base=base)
    delay = backoff_delay(attempt, base=base, jitter=jitter, rand=lambda: roll)
    assert whole * (1 - jitter) <= delay <= whole
    assert delay >= 0


def test_jitter_spreads_delays() -> None:
    """By default the chance is a real one."""
    assert len({backoff_delay(1, base=10, jitter=0.1) for _ in range(20)}) > 1


@given(st.integers(0, 10_000), rolls)
def test_reconnecting_is_bounded(failures: int, roll: float) -> None:
    """Full jitter lies between nothing and 1.5 s, however often it failed."""
    assert 0 <= full_jitter(failures, rand=lambda: roll) <= min(1.5, 0.1 * 2.0 ** min(failures, 10))


def test_reconnecting_begins_soon() -> None:
    """The bound begins with 0.1 s and doubles, up to 1.5 s: a broker that is back is found within two."""
    assert [full_jitter(n, rand=lambda: 0.0) for n in (0, 1, 2, 3, 4, 60)] == [0.1, 0.2, 0.4, 0.8, 1.5, 1.5]


# After an error


def test_without_retries_the_first_error_is_the_last() -> None:
    """The default is one attempt."""
    failed = after_error(TaskOptions(result_ttl=7), lease(), ValueError("no"))
    assert isinstance(failed, Failed)
    assert (failed.failure.type, failed.failure.message, failed.retain_for) == ("ValueError", "no", 7)


@pytest.mark.parametrize(("attempt", "kind"), [(1, Retried), (2, Retried), (3, Retried), (4, Failed)])
def test_retries_are_counted(attempt: int, kind: type[Any]) -> None:
    """Three retries are four attempts."""
    assert type(after_error(TaskOptions(retries=3), lease(attempt), ValueError())) is kind


@given(st.integers(0, 50), st.integers(1, 60), st.integers(0, 10))
def test_crashes_do_not_count_against_retries(retries: int, failures: int, crashes: int) -> None:
    """Only attempts that ended in an error use up retries."""
    outcome = after_error(TaskOptions(retries=retries), lease(failures + crashes, crashes), ValueError())
    assert isinstance(outcome, Retried if failures <= retries else Failed)


def test_delays_follow_the_options() -> None:
    """The task's own delay and backoff, counted from its own failures; the roll of the die is taken off."""
    options = TaskOptions(retries=9, retry_delay=2, jitter=0.5)
    delays = [after_error(options, lease(n + 4, 4), ValueError(), rand=lambda: 1.0) for n in (1, 2, 3)]
    assert [retried.delay for retried in delays if isinstance(retried, Retried)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("options", "error", "again"),
    [
        ({}, ValueError(), True),
        ({}, SystemExit(), False),
        ({"retry_on": (OSError,)}, ConnectionError(), True),
        ({"retry_on": (OSError,)}, ValueError(), False),
        ({"retry_on": ()}, ValueError(), False),
        ({"no_retry_on": (LookupError,)}, KeyError(), False),
        ({"no_retry_on": (LookupError,)}, ValueError(), True),
        ({"retry_on": (KeyError,), "no_retry_on": (LookupError,)}, KeyError(), False),
        ({"retry_on": (BaseException,)}, SystemExit(), True),
        ({"retry_on": (), "no_retry_on": (Exception,)}, Retry(), True),
    ],
)
def test_some_errors_are_not_retried(options: dict[str, Any], error: BaseException, again: bool) -> None:
    """`retry_on` says which are, `no_retry_on` has the last word, and `Retry` always asks for another attempt."""
    outcome = after_error(TaskOptions(retries=5, **options), lease(), error)
    assert isinstance(outcome, Retried if again else Failed)


def test_retry_says_when() -> None:
    """`raise Retry(delay=...)` sets the delay of that retry, without jitter; without one the backoff counts."""
    options = TaskOptions(retries=2, retry_delay=60, jitter=0)
    asked = after_error(options, lease(), Retry(delay=7))
    left = after_error(options, lease(2), Retry("not yet"))
    assert isinstance(asked, Retried)
    assert isinstance(left, Retried)
    assert (asked.delay, left.delay) == (7, 120)
    assert left.failure is not None
    assert left.failure.message == "not yet"


def test_retry_counts_as_an_attempt() -> None:
    """When none is left even `Retry` fails."""
    outcome = after_error(TaskOptions(retries=1), lease(2), Retry())
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "the task asked for another attempt"


# Unknown tasks


def test_an_unknown_task_is_handed_on_and_then_dead() -> None:
    """Other workers get three chances, later each time; crashes are no chances."""
    outcomes = [unknown_task(lease(n + 1, 1), LookupError("who?")) for n in range(1, UNKNOWN_TASK_RETRIES + 1)]
    assert [outcome.delay for outcome in outcomes if isinstance(outcome, Retried)] == [10, 20, 40]
    last = unknown_task(lease(UNKNOWN_TASK_RETRIES + 1), LookupError("who?"))
    assert isinstance(last, Dead)
    assert last.reason == "unknown_task"


def test_the_chance_is_a_real_one_by_default() -> None:
    """Retries of many jobs do not come back in step."""
    options = TaskOptions(retries=1, retry_delay=100)
    random.seed(1)
    outcomes = [after_error(options, lease(), ValueError()) for _ in range(20)]
    delays = {outcome.delay for outcome in outcomes if isinstance(outcome, Retried)}
    assert len(delays) > 1
    assert all(90 <= delay <= 100 for delay in delays)
