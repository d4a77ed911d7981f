"""Fixtures of the tests of cron in the worker: all on one virtual clock."""

from __future__ import annotations

import pytest

from aioq import Aarq
from aioq.testing import VirtualClock
from tests.core.brokers import FlakyBroker
from tests.core.worker.cron.ledger import Ledger
from tests.core.worker.cron.notes import Notes


@pytest.fixture
def broker(clock: VirtualClock) -> FlakyBroker:
    """A broker on virtual time."""
    return FlakyBroker(clock=clock)


@pytest.fixture
def ledger(broker: FlakyBroker) -> Ledger:
    """What the broker has written down, in few words."""
    return Ledger(broker)


@pytest.fixture
def notes(clock: VirtualClock) -> Notes:
    """A cron task that takes notes."""
    return Notes(clock)


@pytest.fixture
def app(app: Aarq) -> Aarq:
    """An app with a name, for there may be others."""
    app.name = "app"
    return app
