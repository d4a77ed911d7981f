"""Checks that the keys of a namespace are consistent between any two operations, as `aioq doctor` does."""

from __future__ import annotations

from typing import Any

from aioq.model.health import Finding
from aioq_redis.doctor.keys import Found, misfits, pattern, place_of
from aioq_redis.doctor.leaks import leaks_of
from aioq_redis.doctor.snapshot import read_snapshot
from aioq_redis.storage.keys import Layout
from aioq_redis.storage.scripts import load

__all__ = ["assert_consistent", "keys_of", "leaks_in"]

MANY = 100_000
"""Ids of a key that are checked: more than any test leaves."""


def keys_of(client: Any, namespace: str) -> list[str]:
    """Return the keys of a namespace."""
    return sorted(key.decode() for key in client.scan_iter(pattern(namespace), 1000))


def assert_consistent(client: Any, namespace: str) -> list[str]:
    """Assert that every key is limited, and that every job is in exactly one place; return the keys."""
    leaks = leaks_in(client, namespace)
    assert not leaks, "; ".join(leaks)
    return keys_of(client, namespace)


def leaks_in(client: Any, namespace: str) -> list[str]:
    """Return texts about keys without a limit, and about jobs that are not in exactly one place."""
    found = _found(client, namespace, keys_of(client, namespace))
    wrong = misfits(found)
    for queue in {one.place.queue for one in found if one.place} - {""}:
        wrong += _leaks(client, namespace, queue)
    return [finding.text for finding in wrong]


def _found(client: Any, namespace: str, keys: list[str]) -> list[Found]:
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.type(key).pttl(key)
        if "}:ticks:" in key:
            pipeline.zcard(key)
    answers = iter(pipeline.execute())
    return [
        Found(
            key=key.encode(),
            type=next(answers).decode(),
            ttl=next(answers),
            place=place_of(namespace, key.encode()),
            members=next(answers) if "}:ticks:" in key else 0,
        )
        for key in keys
    ]


def _leaks(client: Any, namespace: str, queue: str) -> list[Finding]:
    script = load("snapshot")
    keys = Layout(namespace).queue(queue).pick(script.keys)
    return leaks_of(queue, read_snapshot(client.eval(script.text, len(keys), *keys, MANY)))
