"""Defines the optional protocol of a broker whose store has a schema."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["Migratable"]


@runtime_checkable
class Migratable(Protocol):
    """A broker whose store has a schema, which `aioq broker migrate` makes and changes.

    `connect` changes no schema. It raises `MigrationRequired` with what `missing_migrations` returns if that is not
    empty, and `BrokerConfigError` if the store has a newer schema than the broker knows. Both methods work on a broker
    that is not connected.
    """

    async def missing_migrations(self) -> list[str]:
        """Return one line for each migration that the store needs, in the order in which they run. Changes nothing.

        Raises:
            BrokerUnavailable: The store cannot be reached.
            BrokerConfigError: The store is no store of this broker, or has a newer schema.
        """
        ...

    async def migrate(self) -> list[str]:
        """Do what `missing_migrations` returns, and return it.

        Each migration is done completely or not at all. Several processes may call this at once: each migration is
        done once. Jobs that are stored stay.

        Raises:
            BrokerUnavailable: The store cannot be reached.
            BrokerConfigError: The store is no store of this broker, or has a newer schema, or the user of the store
                may not change it.
        """
        ...
