"""A primary server and its replica."""

from __future__ import annotations

from typing import Any

from tests.servers import RedisServer

__all__ = ["Pair"]


class Pair:
    """A primary, and a replica that is up to date."""

    def __init__(self, primary: RedisServer, replica: RedisServer) -> None:
        self.primary = primary
        self.replica = replica

    def catch_up(self) -> None:
        """Return when the replica has all data."""
        with self.primary.client() as connection:
            client: Any = connection
            for _ in range(2):
                # The first write may be a part of the full copy, which ends a second before writes are replicated.
                client.set("latest", "")
                while not client.wait(1, 1000):
                    pass

    def promote(self) -> None:
        """Make the replica a primary: it does not get what is written to the old one from now on."""
        with self.replica.client() as connection:
            client: Any = connection
            client.replicaof("NO", "ONE")
