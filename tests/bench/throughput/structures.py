"""What ways to keep jobs in Redis cost the server: `python -m tests.bench.throughput.structures`.

Batches of 100, the processor time of the whole server and the bytes of all keys. The last one
is ours, with all that it can do; the others can do a part of it, and show what that costs.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

import redis

from aioq.model.ids import new_id
from aioq.model.job import ClaimRequest, Completed, NewJob
from aioq_redis import RedisBroker
from tests.bench.throughput.store import serving

__all__: list[str] = []

JOBS: Final = 50_000
BATCH: Final = 100
PAYLOAD: Final = b'{"value":12345}'

TAKE_MEMBERS: Final = """
local jobs = redis.call('LPOP', KEYS[1], ARGV[1])
local lease = {}
for n, job in ipairs(jobs) do lease[2 * n - 1], lease[2 * n] = ARGV[2], job end
redis.call('ZADD', KEYS[2], unpack(lease))
return jobs
"""

TAKE_HASHES: Final = """
local ids, lease, found = redis.call('LPOP', KEYS[1], ARGV[1]), {}, {}
for n, id in ipairs(ids) do
  lease[2 * n - 1], lease[2 * n] = ARGV[2], id
  redis.call('HINCRBY', 'job:' .. id, 'epoch', 1)
  found[n] = redis.call('HGETALL', 'job:' .. id)
end
redis.call('ZADD', KEYS[2], unpack(lease))
return { ids, found }
"""


class Structure(Protocol):
    """A way to keep jobs."""

    def put(self, ids: list[str]) -> None:
        """Store jobs."""
        ...

    def take(self) -> None:
        """Take a batch and have it done."""
        ...


class Stream:
    """A stream with a consumer group: the job is an entry. No priority, no cancel, no look at one job."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, ids: list[str]) -> None:
        """Store jobs."""
        batch = self._client.pipeline(transaction=False)
        for id in ids:
            batch.xadd("s", {"i": id, "p": PAYLOAD})
        batch.execute()

    def take(self) -> None:
        """Take a batch and have it done."""
        if not self._client.exists("group"):
            self._client.xgroup_create("s", "g", "0")
            self._client.set("group", "1")
        (_, entries), *_ = self._client.xreadgroup("g", "c", {"s": ">"}, count=BATCH)
        taken = [entry for entry, _ in entries]
        batch = self._client.pipeline(transaction=False)
        batch.xack("s", "g", *taken)
        batch.xdel("s", *taken)
        batch.execute()


class Members:
    """A list of jobs and a sorted set of leases: the job is a member. No cancel, no count of attempts."""

    def __init__(self, client: Any) -> None:
        self._client, self._take = client, client.register_script(TAKE_MEMBERS)

    def put(self, ids: list[str]) -> None:
        """Store jobs."""
        self._client.rpush("l", *[f"{id} {PAYLOAD.decode()}" for id in ids])

    def take(self) -> None:
        """Take a batch and have it done."""
        self._client.zrem("z", *self._take(["l", "z"], [BATCH, 1]))


class Hashes:
    """A list of ids, a hash for each job, a sorted set of leases: what most libraries do."""

    def __init__(self, client: Any) -> None:
        self._client, self._take = client, client.register_script(TAKE_HASHES)

    def put(self, ids: list[str]) -> None:
        """Store jobs."""
        batch = self._client.pipeline(transaction=False)
        for id in ids:
            batch.hset(f"job:{id}", mapping={"task": "tasks.nothing", "payload": PAYLOAD, "at": 1764009000000, "n": 0})
        batch.rpush("l", *ids)
        batch.execute()

    def take(self) -> None:
        """Take a batch and have it done."""
        ids, _ = self._take(["l", "z"], [BATCH, 1])
        batch = self._client.pipeline(transaction=False)
        batch.zrem("z", *ids)
        batch.delete(*[b"job:" + id for id in ids])
        batch.execute()


class Ours:
    """Lists of ids, one hash for the records of a queue, one for runs, a sorted set of leases."""

    def __init__(self, url: str) -> None:
        self._broker, self._runner = RedisBroker(url), asyncio.Runner()

    def put(self, ids: list[str]) -> None:
        """Store jobs."""
        jobs = [NewJob(id=id, task="tasks.nothing", queue="q", payload=PAYLOAD) for id in ids]
        self._runner.run(self._broker.enqueue(jobs))

    def take(self) -> None:
        """Take a batch and have it done."""
        self._runner.run(self._done())

    async def _done(self) -> None:
        request = ClaimRequest(worker_id="w", queues=("q",), limit=BATCH, lease=30, request_id=new_id())
        claim = await self._broker.claim(request)
        await self._broker.settle([Completed(lease=lease) for lease in claim.leases])


def main() -> None:
    """Measure each of them."""
    with serving() as store:
        client: Any = redis.Redis.from_url(store.url)
        kinds: dict[str, Structure] = {
            "stream": Stream(client),
            "list of jobs": Members(client),
            "hash per job": Hashes(client),
            "ours": Ours(store.url),
        }
        print("| structure | put, us | take and end, us | bytes |\n|---|---:|---:|---:|")
        for name, kind in kinds.items():
            store.wipe()
            ids = [new_id() for _ in range(JOBS)]
            before = store.processor()
            for n in range(0, JOBS, BATCH):
                kind.put(ids[n : n + BATCH])
            put, size = store.processor() - before, store.memory() / JOBS
            before = store.processor()
            for _ in range(JOBS // BATCH):
                kind.take()
            take = store.processor() - before
            print(f"| {name} | {put / JOBS * 1e6:.1f} | {take / JOBS * 1e6:.1f} | {size:.0f} |")


if __name__ == "__main__":
    main()
