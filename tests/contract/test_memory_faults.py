"""The memory broker against the suite of faults, which a wrapper causes: an in-process store has no connection."""

from __future__ import annotations

import pytest

from aioq.backends import MemoryBroker
from aioq.testing import FaultContract, FaultyBroker


class TestMemoryFaults(FaultContract):
    """Every fault that a call can have."""

    timeout = 0.5

    @pytest.fixture
    def peer(self) -> MemoryBroker:
        """The broker that does the work."""
        return MemoryBroker()

    @pytest.fixture
    def broker(self, peer: MemoryBroker) -> FaultyBroker:
        """The same with faults."""
        self.faulty = FaultyBroker(peer, timeout=self.timeout)
        return self.faulty

    @pytest.fixture
    def faults(self, broker: FaultyBroker) -> FaultyBroker:
        """What causes the faults."""
        return broker

    async def fill(self) -> None:
        """Leave no room."""
        self.faulty.fill()

    async def make_room(self) -> None:
        """Make room again."""
        self.faulty.recover()
