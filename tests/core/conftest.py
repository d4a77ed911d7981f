"""What the tests of the core start from."""

from __future__ import annotations

import pytest
from hypothesis import settings

from aioq import Aarq
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.plain_scheduler import PlainScheduler

settings.register_profile("shared machines", deadline=None)  # what is slow there is the neighbours
settings.load_profile("shared machines")


@pytest.fixture
def clock() -> VirtualClock:
    """Time that passes when the test says so; it starts at 2026-01-01T00:00:00Z."""
    return VirtualClock()


@pytest.fixture
def broker() -> FlakyBroker:
    """A broker in memory that can be made to fail."""
    return FlakyBroker()


@pytest.fixture
def scheduler() -> PlainScheduler:
    """A scheduler that owes nothing to aioq-cron."""
    return PlainScheduler()


@pytest.fixture
def app(broker: FlakyBroker, scheduler: PlainScheduler) -> Aarq:
    """An app without tasks."""
    return Aarq(broker, scheduler=scheduler)
