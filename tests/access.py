"""A user of a server who may do what a queue needs, in one namespace, and nothing else."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.servers import RedisServer

__all__ = ["LISTENING", "RULES", "restricted"]

RULES = "+@read +@write +@connection +time +eval +evalsha +script|load -@dangerous"
"""What suffices; without a right to channels, workers and clients ask for what they would be told."""

LISTENING = f"{RULES} +@pubsub"
"""What docs and docstrings ask for."""


@contextmanager
def restricted(server: RedisServer, namespace: str, *more: str) -> Generator[str]:
    """Make a user for the block that is restricted to a namespace, and return the URL with which to be it.

    Args:
        server: A server of the tests' own.
        namespace: What may follow the brace with which all keys and channels begin.
        more: Further rules of its ACL.
    """
    if not server.owned:
        pytest.skip("this test makes users, and AIOQ_TEST_REDIS_URL names a server that is not ours")
    name = f"user-of-{namespace}"
    with server.client() as connection:
        client: Any = connection
        rules = f"reset on >se:cr@t ~{{{namespace}* resetchannels &{{{namespace}* {LISTENING}"
        client.execute_command("ACL", "SETUSER", name, *rules.split(), *more)
        yield f"unix://{name}:se%3Acr%40t@{server.socket}"
        client.execute_command("ACL", "DELUSER", name)
