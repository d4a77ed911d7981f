"""Runs Lua scripts on the keys of a namespace."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from aioq_redis.client.client import Client
from aioq_redis.client.url import Durability, Settings
from aioq_redis.storage.keys import KeySpace, sibling_key
from aioq_redis.storage.scripts import load

__all__ = ["Database"]


class Database(Client):
    """A client that runs the scripts by name.

    Args:
        settings: The address of the server, and how to log in.
        timeout: Seconds that one call may take, retries included.
        durability: How many replicas must have a job before `enqueue` returns.
    """

    def __init__(self, settings: Settings, *, timeout: float, durability: Durability) -> None:
        super().__init__(
            settings, timeout=timeout, durability=durability, marker_key=partial(sibling_key, name="copied")
        )

    def call(
        self, name: str, space: KeySpace, args: Sequence[object], *, own: str = "", each: Sequence[str] = ()
    ) -> Coroutine[Any, Any, Any]:
        """Run a script on keys that share a hash tag, and return its reply.

        Args:
            name: The name of the script.
            space: The keys of a queue or of the fleet.
            args: The arguments of the script.
            own: The owner in names of keys like `worker:<id>`.
            each: The owners for a key like `cron:<name>...`, one key for each.

        Raises:
            BrokerUnavailable: The server could not be reached, or was not ready, in time.
            BrokerConfigError: The server rejects the script, for a reason that will not pass.
            BrokerFull: The server has no memory left.
        """
        script = load(name)
        keys = space.pick(script.keys, own, each)
        return self.run_script(script, keys, args, partial(self.find_mistyped, space, keys))

    async def find_mistyped(self, space: KeySpace, keys: Sequence[str]) -> str:
        """Return a text that names the first key with the wrong type."""
        # Only after an error, so that no call pays for these checks.
        for key in keys:
            found = await self.ask("TYPE", key)
            kind = found.decode() if isinstance(found, bytes) else "none"
            if kind not in ("none", space.type_of(key)):
                return f"key {key} is a {kind} and should be a {space.type_of(key)}; remove it or use another namespace"
        return "a key is of the wrong type"
