"""How long to wait, and whether to try again: decided from values alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq import Retry
from aioq.errors import UnknownTask
from aioq.model.job import Dead, Failed, HandedBack, Lease, Retried
from aioq.options import TaskOptions
from aioq.retry import backoff_delay, full_jitter
from aioq.worker.outcome import MAX_HAND_BACKS, after_error, cannot_run

DAY = 86_400

attempts = st.integers(1, 2_000)
bases = st.floats(0, 315_576_000)
shares = st.floats(0, 1)
rolls = st.floats(0, 1, exclude_max=True)


def lease(attempt: int = 1, crashes: int = 0, hand_backs: int = 0) -> Lease:
    """Return a lease for some attempt."""
    return Lease(
        job_id="j", queue="q", epoch=attempt, worker_id="w", task="t", payload=b"{}",
        attempt=attempt, crashes=crashes, priority=5, enqueued_at=0.0, hand_backs=hand_backs,
    )  # fmt: skip


def group(*causes: Exception) -> ExceptionGroup[Exception]:
    """Return what a TaskGroup raises."""
    return ExceptionGroup("", causes)


# Backoff


@given(attempts, bases)
def test_backoff_constant_keeps_delay(attempt: int, base: float) -> None:
    """Every retry has the same delay, even one longer than a day."""
    assert backoff_delay(attempt, base=base, backoff="constant") == base


@given(attempts, bases)
def test_backoff_exponential_never_shrinks(attempt: int, base: float) -> None:
    """Each delay is at least the one before, and at most the larger of base and a day."""
    delay = backoff_delay(attempt, base=base)
    assert delay <= backoff_delay(attempt + 1, base=base) <= max(base, DAY)
    assert delay >= base


def test_backoff_exponential_doubles_up_to_a_day() -> None:
    """The delay doubles up to the ceiling of a day."""
    assert [backoff_delay(n, base=1.5) for n in (1, 2, 3, 4, 5)] == [1.5, 3, 6, 12, 24]
    assert backoff_delay(100, base=1.5) == DAY


@given(attempts, bases, shares, rolls)
def test_backoff_jitter_shortens_delay(attempt: int, base: float, jitter: float, roll: float) -> None:
    """Jitter shortens a delay by its fraction at most, and never lengthens it."""
    whole = backoff_delay(attempt, base=base)
    delay = backoff_delay(attempt, base=base, jitter=jitter, rand=lambda: roll)
    assert whole * (1 - jitter) <= delay <= whole
    assert delay >= 0


def test_backoff_jitter_is_random_by_default() -> None:
    """By default the jitter is random."""
    assert len({backoff_delay(1, base=10, jitter=0.1) for _ in range(20)}) > 1


@given(st.integers(0, 10_000), rolls)
def test_full_jitter_is_bounded(failures: int, roll: float) -> None:
    """The delay is between 0 and 1.5 s, however often it failed."""
    assert 0 <= full_jitter(failures, rand=lambda: roll) <= min(1.5, 0.1 * 2.0 ** min(failures, 10))


def test_full_jitter_bound_doubles() -> None:
    """The bound begins at 0.1 s and doubles up to 1.5 s."""
    assert [full_jitter(n, rand=lambda: 0.0) for n in (0, 1, 2, 3, 4, 60)] == [0.1, 0.2, 0.4, 0.8, 1.5, 1.5]


# After an error


def test_after_error_without_retries_fails() -> None:
    """By default the first error fails the job."""
    failed = after_error(TaskOptions(result_ttl=7), lease(), ValueError("no"))
    assert isinstance(failed, Failed)
    assert (failed.failure.type, failed.failure.message, failed.retain_for) == ("ValueError", "no", 7)


@pytest.mark.parametrize(("attempt", "kind"), [(1, Retried), (2, Retried), (3, Retried), (4, Failed)])
def test_after_error_counts_retries(attempt: int, kind: type[Any]) -> None:
    """Three retries are four attempts."""
    assert type(after_error(TaskOptions(retries=3), lease(attempt), ValueError())) is kind


@given(st.integers(0, 50), st.integers(1, 60), st.integers(0, 10))
def test_after_error_ignores_crashes(retries: int, failures: int, crashes: int) -> None:
    """Only attempts that ended with an error use up retries."""
    outcome = after_error(TaskOptions(retries=retries), lease(failures + crashes, crashes), ValueError())
    assert isinstance(outcome, Retried if failures <= retries else Failed)


def test_after_error_delay_follows_options() -> None:
    """The delay follows the task's options and its own failures, shortened by jitter."""
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
        ({"retry_on": (OSError,)}, group(ConnectionError(), group(TimeoutError())), True),
        ({"retry_on": (OSError,)}, group(ConnectionError(), group(ValueError())), False),
        ({"no_retry_on": (LookupError,)}, group(ValueError(), group(KeyError())), False),
        ({"retry_on": (), "no_retry_on": (Exception,)}, group(group(Retry())), True),
        ({"retry_on": ()}, group(Retry(), ValueError()), False),
        ({"retry_on": (ExceptionGroup,)}, group(ValueError()), True),
        ({"retry_on": (ExceptionGroup,), "no_retry_on": (ValueError,)}, group(ValueError()), False),
        ({"no_retry_on": (ExceptionGroup,)}, group(ValueError()), False),
        ({"retry_on": (Exception,)}, BaseExceptionGroup("", [SystemExit(), ValueError()]), False),
    ],
)
def test_after_error_retry_on_selects_exceptions(options: dict[str, Any], error: BaseException, again: bool) -> None:
    """`retry_on` selects exceptions, `no_retry_on` excludes some, and `Retry` is always retried."""
    outcome = after_error(TaskOptions(retries=5, **options), lease(), error)
    assert isinstance(outcome, Retried if again else Failed)


def test_after_error_retry_sets_delay() -> None:
    """`Retry(delay=...)` sets the delay without jitter; without a delay the backoff counts."""
    options = TaskOptions(retries=2, retry_delay=60, jitter=0)
    asked = after_error(options, lease(), Retry(delay=7))
    left = after_error(options, lease(2), Retry("not yet"))
    assert isinstance(asked, Retried)
    assert isinstance(left, Retried)
    assert (asked.delay, left.delay) == (7, 120)
    assert left.failure is not None
    assert left.failure.message == "not yet"


def test_after_error_retry_in_groups_sets_longest_delay() -> None:
    """`Retry` inside groups sets the delay; of several, the longest counts."""
    error = group(Retry(delay=3), group(Retry("later", delay=7), Retry()))
    settlement = after_error(TaskOptions(retries=1), lease(), error)
    assert isinstance(settlement, Retried)
    assert settlement.delay == 7


def test_after_error_deeply_nested_group_is_settled() -> None:
    """A group that is nested deeper than Python's stack is settled like any other."""
    error: Exception = ValueError("at the bottom")
    for _ in range(5000):
        error = group(error)
    settlement = after_error(TaskOptions(), lease(), error)
    assert isinstance(settlement, Failed)
    assert settlement.failure.message == " (1 sub-exception): ValueError: at the bottom"


def test_after_error_retry_without_attempts_fails() -> None:
    """If no attempt is left, even `Retry` fails the job."""
    outcome = after_error(TaskOptions(retries=1), lease(2), Retry())
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "the task asked for another attempt"


# Unknown tasks


def test_unknown_task_is_handed_back_three_times_then_dead() -> None:
    """Other workers get three chances with growing delays; attempts and crashes do not count."""
    outcomes = [cannot_run(lease(7, 2, n), UnknownTask("who?")) for n in range(MAX_HAND_BACKS)]
    assert [outcome.delay for outcome in outcomes if isinstance(outcome, HandedBack)] == [10, 20, 40]
    last = cannot_run(lease(hand_backs=MAX_HAND_BACKS), UnknownTask("who?"))
    assert isinstance(last, Dead)
    assert last.reason == "unknown_task"


def test_after_error_delays_are_random_by_default() -> None:
    """Retries of many jobs have different delays."""
    options = TaskOptions(retries=1, retry_delay=100)
    random.seed(1)
    outcomes = [after_error(options, lease(), ValueError()) for _ in range(20)]
    delays = {outcome.delay for outcome in outcomes if isinstance(outcome, Retried)}
    assert len(delays) > 1
    assert all(90 <= delay <= 100 for delay in delays)
