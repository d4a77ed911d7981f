"""A server, and a copy of it."""

from __future__ import annotations

from typing import Any

from tests.servers import RedisServer

__all__ = ["Pair"]


class Pair:
    """A primary, and a replica that is up to date."""

    def __init__(self, primary: RedisServer, replica: RedisServer) -> None:
        self.primary, self.replica = primary, replica

    def catch_up(self) -> None:
        """Return when the replica has everything."""
        with self.primary.client() as connection:
            client: Any = connection
            for _ in range(2):
                # The first may have come along with the copy of everything, a second before writes begin to flow.
                client.set("latest", "")
                while not client.wait(1, 1000):
                    pass

    def promote(self) -> None:
        """Let the replica take over: what the primary takes in from now on it does not have."""
        with self.replica.client() as connection:
            client: Any = connection
            client.replicaof("NO", "ONE")
