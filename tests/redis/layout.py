"""What must hold of the keys of a namespace between any two operations."""

from __future__ import annotations

from typing import Any

__all__ = ["assert_consistent", "keys_of"]

BOUNDED = {
    *("jobs", "due", "leased", "runs", "failures", "gone", "wake", "queues", "suspects"),
    *(f"ready:{n}" for n in range(10)),
}
"""Keys without a time to live: bounded by the jobs that have not ended, or by the names of queues."""

INDEXES = {b"c": "completed", b"f": "failed", b"x": "cancelled", b"d": "dead"}


def keys_of(client: Any, namespace: str) -> list[str]:
    """Return the keys of a namespace."""
    found = [*client.scan_iter(f"{{{namespace}:*", 1000), *client.scan_iter(f"{{{namespace}}}*", 1000)]
    return sorted(key.decode() for key in found)


def assert_consistent(client: Any, namespace: str) -> None:
    """Insist that every key has a bound, and that every job is in exactly one place."""
    keys = keys_of(client, namespace)
    endless = [key for key in keys if client.pttl(key) == -1 and key.partition("}:")[2] not in BOUNDED]
    assert endless == []
    assert [key for key in keys if key.partition("}:")[2].startswith("ticks:") and client.zcard(key) > 100] == []
    for queue in {key[1:].partition("}")[0].partition(":")[2] for key in keys} - {""}:
        _Queue(client, f"{{{namespace}:{queue}}}:").check()


class _Queue:
    """The contents of one queue's keys."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self.jobs = set(self._hash("jobs"))
        self.runs = self._hash("runs")
        self.due = set(self._zset("due"))
        self.leased = set(self._zset("leased"))
        self.gone: set[bytes] = set(self._client.smembers(prefix + "gone"))
        lines = [f"ready:{n}" for n in range(10)] + ["suspects"]
        self.ready: list[bytes] = [id for line in lines for id in self._client.lrange(prefix + line, 0, -1)]

    def check(self) -> None:
        """Insist on what holds of one queue."""
        pending = [id for id in self.ready if id not in self.gone]
        assert sorted(pending) == sorted(set(pending)), "an id is twice in line"
        places: list[set[bytes]] = [set(pending), self.due, self.leased]
        assert {id for place in places for id in place} == self.jobs, "jobs and places differ"
        assert sum(map(len, places)) == len(self.jobs), "a job is in two places"
        assert self.gone <= set(self.ready), "a cancelled id is not in line"
        assert set(self.runs) <= self.jobs, "a run has no job"
        assert {id for id, run in self.runs.items() if run[:1] == b"r"} == self.leased, "runs and leases differ"
        assert set(self._hash("failures")) == {id for id, run in self.runs.items() if run[1:2] == b"1"}
        assert self._client.llen(self._prefix + "wake") <= 100
        self._check_ended()

    def _check_ended(self) -> None:
        ended = self._hash("ended")
        for letter, index in INDEXES.items():
            mine = {id for id, record in ended.items() if record[:1] == letter}
            assert set(self._zset(index)) == mine, f"{index} and the records differ"
        assert not set(ended) & self.jobs, "a job has ended and has not"

    def _hash(self, name: str) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = self._client.hgetall(self._prefix + name)
        return found

    def _zset(self, name: str) -> list[bytes]:
        found: list[bytes] = self._client.zrange(self._prefix + name, 0, -1)
        return found
