"""Tests `Migratable`."""

from __future__ import annotations

import anyio
import pytest

from aioq.conformance import lacking
from aioq.errors import MigrationRequired
from aioq.protocols import Broker, Migratable
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["MigratableContract"]


class MigratableContract(BrokerSuite):
    """The suite for `aioq.protocols.Migratable`; subclass it beside `BrokerContract`.

    It needs a further fixture, `new_broker`.
    """

    @pytest.fixture
    def new_broker(self) -> Broker:
        """A broker that is not connected, on an empty store without a schema; each test gets a new one."""
        raise NotImplementedError(f"{type(self).__name__} must define a fixture named new_broker")

    @pytest.fixture
    def migratable(self, new_broker: Broker) -> Migratable:
        """The new broker, as one that can be migrated."""
        assert isinstance(new_broker, Migratable), f"it lacks {lacking(new_broker, Migratable)}"
        return new_broker

    async def test_connect_without_schema_names_what_is_missing(
        self, new_broker: Broker, migratable: Migratable
    ) -> None:
        """`connect` makes no schema: it raises an error that lists the migrations."""
        missing = await migratable.missing_migrations()
        assert missing
        with pytest.raises(MigrationRequired) as caught:
            await new_broker.connect()
        assert list(caught.value.missing) == missing
        assert await migratable.missing_migrations() == missing

    async def test_migrate_makes_store_usable(self, new_broker: Broker, migratable: Migratable) -> None:
        """`migrate` does what was missing, and returns it; after that `connect` raises nothing."""
        missing = await migratable.missing_migrations()
        assert await migratable.migrate() == missing
        assert await migratable.missing_migrations() == []
        await new_broker.connect()
        try:
            assert await new_broker.enqueue([self.job("a")]) == [True]
        finally:
            await new_broker.close()

    async def test_migrate_at_once_does_each_migration_once(self, migratable: Migratable) -> None:
        """Of several calls at the same time, one does a migration."""
        missing = await migratable.missing_migrations()
        done: list[str] = []

        async def migrate() -> None:
            done.extend(await migratable.migrate())

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(migrate)
        assert sorted(done) == sorted(missing)

    async def test_migrate_again_keeps_jobs(self, broker: Broker) -> None:
        """On a store that is in use, `migrate` does nothing, and the jobs stay."""
        assert isinstance(broker, Migratable), f"it lacks {lacking(broker, Migratable)}"
        await broker.enqueue([self.job("a")])
        assert await broker.migrate() == []
        assert [lease.job_id for lease in await self.claim(broker)] == ["a"]
