"""`BrokerClock` follows the answers of the broker."""

from __future__ import annotations

import pytest

from aioq.clock import BrokerClock
from aioq.testing import VirtualClock
from tests.core.worker.cron.notes import START


@pytest.fixture
def known(clock: VirtualClock) -> BrokerClock:
    """A clock of a broker whose time is the host's."""
    return BrokerClock(clock)


def test_broker_clock_starts_with_host_time(known: BrokerClock) -> None:
    """Until the broker has answered."""
    assert known.time() == START


def test_broker_clock_follows_immediate_answer(known: BrokerClock, clock: VirtualClock) -> None:
    """Ahead or behind."""
    for now in (START + 3_600, START - 3_600):
        known.heard(now, clock.monotonic())
        assert known.time() == now


def test_broker_clock_ignores_host_steps(known: BrokerClock, clock: VirtualClock) -> None:
    """It goes by monotonic time between answers."""
    known.heard(START + 50, clock.monotonic())
    clock.step(-7_200)
    clock.suspend(10)
    assert known.time() == START + 60


@pytest.mark.parametrize(
    ("now", "shown"),
    [(0, 10), (10, 10), (4, 10), (-5, 5), (12, 12)],
    ids=["read at once", "read last", "read in between", "behind", "ahead"],
)
def test_broker_clock_changes_little_by_slow_answer(
    known: BrokerClock, clock: VirtualClock, now: float, shown: float
) -> None:
    """The broker read its clock at some moment of the ten seconds that the answer took."""
    asked = clock.monotonic()
    clock.suspend(10)
    known.heard(START + now, asked)
    assert known.time() == START + shown
