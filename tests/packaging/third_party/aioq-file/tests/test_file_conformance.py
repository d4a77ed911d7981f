"""The file broker passes the suites that aioq ships."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aioq_file import FileBroker, MinimalFileBroker

from aioq.testing import BrokerContract, JobStoreContract, VirtualClock


class OnVirtualTime:
    """The broker runs on a virtual clock."""

    clock: VirtualClock

    virtual_time = True

    async def pass_time(self, seconds: float) -> None:
        """Advance the broker's clock."""
        await self.clock.advance(seconds)


class TestMinimalFileBroker(OnVirtualTime, BrokerContract):
    """A broker that is no more than a `Broker`."""

    @pytest.fixture
    async def broker(self, tmp_path: Path) -> AsyncIterator[MinimalFileBroker]:
        """A connected broker on a file of its own."""
        self.clock = VirtualClock()
        broker = MinimalFileBroker((tmp_path / "jobs.db").as_uri(), clock=self.clock)
        await broker.connect()
        yield broker
        await broker.close()

    @pytest.fixture
    async def peer(self, broker: MinimalFileBroker, tmp_path: Path) -> AsyncIterator[MinimalFileBroker]:
        """Another one on the same file, as a second process has it."""
        peer = MinimalFileBroker((tmp_path / "jobs.db").as_uri(), clock=self.clock)
        await peer.connect()
        yield peer
        await peer.close()


class TestFileBroker(OnVirtualTime, BrokerContract, JobStoreContract):
    """A broker that can be asked about its jobs too."""

    @pytest.fixture
    async def broker(self, tmp_path: Path) -> AsyncIterator[FileBroker]:
        """A connected broker on a file of its own."""
        self.clock = VirtualClock()
        broker = FileBroker((tmp_path / "jobs.db").as_uri(), clock=self.clock)
        await broker.connect()
        yield broker
        await broker.close()

    @pytest.fixture
    async def peer(self, broker: FileBroker, tmp_path: Path) -> AsyncIterator[FileBroker]:
        """Another one on the same file, as a second process has it."""
        peer = FileBroker((tmp_path / "jobs.db").as_uri(), clock=self.clock)
        await peer.connect()
        yield peer
        await peer.close()
