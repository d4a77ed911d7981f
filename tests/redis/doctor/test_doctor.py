"""The checks of the doctor for the server and for single keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from aioq.errors import BrokerUnavailable
from aioq.model.health import Finding, Level
from aioq.model.job import Completed, Dead, Expired, Failure
from aioq.model.workers import WorkerInfo
from aioq_redis import RedisBroker
from aioq_redis.doctor.host import about_clock, about_host, format_bytes
from aioq_redis.doctor.keys import Place, place_of
from tests.access import LISTENING as RULES
from tests.redis.job_helpers import claim, job
from tests.servers import RedisServer

WORKER = WorkerInfo(id="w1", queues=("q",), concurrency=10, running=3, hostname="h", pid=1, started_at=0.0)


def about(findings: list[Finding], subject: str) -> list[tuple[Level, str]]:
    """Return what was found of something."""
    return [(finding.level, finding.text) for finding in findings if finding.subject == subject]


def only(findings: list[Finding], subject: str) -> Finding:
    """Return the one finding of something."""
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


class TestKeys:
    """Each key by itself."""

    @pytest.fixture
    def plant(self, raw: Any, namespace: str, tampered: list[bool]) -> Callable[..., None]:
        """Write a string where it should not be."""
        tampered.append(True)
        return lambda key, **options: raw.set(f"{{{namespace}{key}", "1", **options)

    async def test_keys_sound_namespace_is_ok(self, broker: RedisBroker) -> None:
        """The finding has the number of keys and their memory."""
        await broker.enqueue([job("a")])
        found = only(await broker.diagnose(), "keys")
        assert (found.level, found.facts["keys"]) == (Level.OK, 5)
        assert found.text.startswith("5, about ")
        assert int(found.facts["memory"]) > 0

    @pytest.mark.parametrize(
        "key", [":q}:stranger", "}:stranger", ":q}:worker:w", "}:jobs", ":q}:claim", ":q}:ready:10", ":q}", ":a b}:jobs"]
    )  # fmt: skip
    async def test_keys_unknown_key_is_reported(
        self, broker: RedisBroker, plant: Callable[..., None], namespace: str, key: str
    ) -> None:
        """A key in the namespace that aioq does not have is a warning."""
        plant(key, ex=60)
        (found,) = about(await broker.diagnose(), "keys")
        assert found == (Level.WARN, f"unknown keys are in the namespace: {{{namespace}{key}")

    async def test_keys_missing_ttl_is_reported(
        self, broker: RedisBroker, plant: Callable[..., None], namespace: str
    ) -> None:
        """A key that should have a time to live and has none is a warning."""
        plant(":q}:memo:gone-for-long")
        (found,) = about(await broker.diagnose(), "keys")
        key = f"{{{namespace}:q}}:memo:gone-for-long"
        assert found == (Level.WARN, f"keys have no time to live, and should have one: {key}")

    async def test_keys_wrong_type_fails(self, broker: RedisBroker, plant: Callable[..., None], namespace: str) -> None:
        """The finding names the key and its proper type, and the other queues are checked."""
        plant(":q}:jobs")
        await broker.enqueue([job("a", "other")])
        findings = await broker.diagnose()
        assert about(findings, "keys") == [(Level.FAIL, f"key {{{namespace}:q}}:jobs is a string and should be a hash")]
        assert findings[0].level is Level.FAIL
        assert about(findings, "queue q") == []
        assert "1 pending" in about(findings, "queue other")[-1][1]

    async def test_workers_wrong_type_is_a_finding(self, broker: RedisBroker, plant: Callable[..., None]) -> None:
        """Workers that cannot be read are a finding and not an error."""
        plant("}:workers", ex=60)
        findings = await broker.diagnose()
        ((level, text),) = about(findings, "workers")
        assert level is Level.FAIL
        assert text.startswith("could not be read: ")

    async def test_keys_too_many_ticks_are_reported(
        self, broker: RedisBroker, raw: Any, namespace: str, tampered: list[bool]
    ) -> None:
        """An entry with more records than the limit is a warning."""
        tampered.append(True)
        key = f"{{{namespace}:q}}:ticks:report"
        raw.zadd(key, {f"{n}": n for n in range(101)})
        raw.expire(key, 60)
        assert about(await broker.diagnose(), "keys") == [
            (Level.WARN, f"entries have more than 100 records of ticks: {key}")
        ]

    async def test_keys_other_namespaces_are_ignored(
        self, broker: RedisBroker, raw: Any, plant: Callable[..., None], namespace: str
    ) -> None:
        """The doctor ignores namespaces that begin alike, and keys without a namespace."""
        plant("-2:q}:stranger", ex=60)
        raw.set(f"{namespace}:q:stranger", "1", ex=60)
        assert about(await broker.diagnose(), "keys") == [(Level.OK, "0; each has a time to live, or a bound")]


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (b"{ns:q}:jobs", Place("q", "jobs")),
        (b"{ns:q}:ready:9", Place("q", "ready")),
        (b"{ns:q}:cron:a:b", Place("q", "cron")),
        (b"{ns}:worker:w1", Place("", "worker")),
        (b"{ns}:queue_names", Place("", "queue_names")),
        (b"{ns:q}:ready", None),
        (b"{ns:q}:ready:x", None),
        (b"{ns:q}:jobs:x", None),
        (b"{ns:q}:queue_names", None),
        (b"{ns}:queues", None),
        (b"{ns:q}:cron:", None),
        (b"{nsx}:queue_names", None),
        (b"{ns}:\xff", None),
    ],
)
def test_place_of_parses_key_names(key: bytes, place: Place | None) -> None:
    """The name of a key gives its queue and its purpose."""
    assert place_of("ns", key) == place


class TestQueues:
    """How the jobs stand."""

    async def test_queue_counts_and_memory_are_reported(self, broker: RedisBroker) -> None:
        """The finding has the number of jobs in each state, and the memory of the queue."""
        await broker.enqueue([job("a"), job("b"), job("c"), job("d"), job("f"), job("e", delay=60.0)])
        a, b, c, _ = await claim(broker, 4)
        late = Expired(lease=c, failure=Failure("Expired", "too late"))
        await broker.settle([Completed(lease=a, retain_for=60.0), Dead(lease=b, reason="malformed"), late])
        await broker.cancel_job("f", queue="q")
        found = [finding for finding in await broker.diagnose() if finding.subject == "queue q"]
        told = found[-1]
        assert told.text.startswith("1 scheduled, 1 running, 1 completed, 1 cancelled, 1 dead, 1 expired; about ")
        memory = told.facts["memory"]
        assert isinstance(memory, int)
        assert memory > 0
        assert {**told.facts, "memory": 0, "overdue": 0} == {
            "pending": 0, "scheduled": 1, "running": 1, "completed": 1, "failed": 0, "cancelled": 1, "dead": 1, "expired": 1,
            "memory": 0, "overdue": 0,
        }  # fmt: skip
        assert (Level.WARN, "1 dead jobs are stored") in about(found, "queue q")

    async def test_queue_without_worker_is_reported(self, broker: RedisBroker) -> None:
        """Jobs that wait without a worker for their queue are a failure until one is up; without a due job, a warning."""
        await broker.enqueue([job("b", delay=60.0)])
        assert (Level.WARN, "1 jobs wait, and no worker that is up consumes the queue") in about(
            await broker.diagnose(), "queue q"
        )
        await broker.enqueue([job("a")])
        nobody = (Level.FAIL, "2 jobs wait, and no worker that is up consumes the queue")
        findings = await broker.diagnose()
        assert nobody in about(findings, "queue q")
        assert about(findings, "workers") == [(Level.WARN, "none is up")]
        await broker.heartbeat(WORKER, ttl=60)
        findings = await broker.diagnose()
        assert nobody not in about(findings, "queue q")
        assert about(findings, "workers") == [(Level.OK, "1 up, with 10 slots, 3 in use at the last heartbeat")]

    async def test_queue_overdue_job_is_reported(self, broker: RedisBroker, raw: Any, namespace: str) -> None:
        """A job that is due for long is a warning although workers are up."""
        await broker.heartbeat(WORKER, ttl=60)
        await broker.enqueue([job("a", delay=60.0)])
        raw.zadd(f"{{{namespace}:q}}:due", {"a": (await broker.time() - 100) * 1000})
        assert (Level.WARN, "a job has been due for 100 s, and no worker has claimed it") in about(
            await broker.diagnose(), "queue q"
        )


class TestServer:
    """Settings of a real server."""

    async def test_server_eviction_policy_is_reported(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
    ) -> None:
        """An eviction policy is a failure with a maxmemory, and a warning without one."""
        server = start_server("--maxmemory-policy", "allkeys-lru")
        broker = make_broker(server.open_url)
        found = only(await broker.diagnose(), "eviction")
        assert (found.level, found.advice.partition(",")[0]) == (
            Level.WARN, "CONFIG SET maxmemory-policy noeviction",
        )  # fmt: skip
        with server.client() as client:
            client.config_set("maxmemory", "100mb")
        found = only(await broker.diagnose(), "eviction")
        assert found.level is Level.FAIL
        assert found.text == "maxmemory-policy is allkeys-lru: the server evicts jobs when memory runs short"

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ([], (Level.WARN, "appendonly is off and nothing is saved: a restart loses all jobs")),
            (
                ["--save", "60", "1"],
                (Level.WARN, "appendonly is off: a crash loses the jobs since the latest snapshot"),
            ),
            (["--appendonly", "yes"], (Level.OK, "appendonly is on")),
        ],
    )
    async def test_server_persistence_is_reported(
        self,
        start_server: Callable[..., RedisServer],
        make_broker: Callable[..., RedisBroker],
        options: list[str],
        found: tuple[Level, str],
    ) -> None:
        """The finding says what a crash or a restart would lose."""
        assert about(await make_broker(start_server(*options).open_url).diagnose(), "persistence") == [found]

    async def test_server_sound_is_ok(self, redis_server: RedisServer, make_broker: Callable[..., RedisBroker]) -> None:
        """The findings on version, memory and clock of the shared server have no warning."""
        findings = await make_broker(redis_server.open_url).diagnose()
        assert only(findings, "clock").level is Level.OK
        assert only(findings, "memory").level is Level.OK
        assert only(findings, "server").text.startswith(("Redis ", "Valkey "))
        assert int(str(only(findings, "server").facts["version"]).partition(".")[0]) >= 6

    async def test_server_full_fails(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
    ) -> None:
        """A full server is a failure, and its keys are checked."""
        server = start_server()
        broker = make_broker(server.open_url)
        await broker.enqueue([job("a")])
        with server.client() as client:
            client.config_set("maxmemory", "1")
        findings = await broker.diagnose()
        assert only(findings, "memory").level is Level.FAIL
        assert "no job can be enqueued" in only(findings, "memory").text
        assert any("1 pending" in text for _, text in about(findings, "queue q"))

    async def test_server_restricted_user_gets_rejected_commands(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
    ) -> None:
        """The doctor checks what the user may read, and names each rejected command."""
        server = start_server(tcp=True)
        with server.client() as connection:
            client: Any = connection
            rules = f"on >secret ~{{app[:}}]* resetchannels &{{app[:}}]* {RULES}"
            client.execute_command("ACL", "SETUSER", "app", *rules.split())
        broker = make_broker(f"redis://app:secret@127.0.0.1:{server.port}", namespace="app")
        await broker.enqueue([job("a")])
        findings = await broker.diagnose()
        refused = [finding for finding in findings if "could not be checked" in finding.text]
        assert [(finding.level, finding.advice) for finding in refused] == [
            (Level.WARN, "use a user that may call INFO"),
            (Level.WARN, "use a user that may call CONFIG"),
        ]
        assert all("NOPERM" in finding.text for finding in refused)
        assert only(findings, "keys").level is Level.OK
        assert any("1 pending" in text for _, text in about(findings, "queue q"))

    async def test_server_away_raises(
        self, start_server: Callable[..., RedisServer], make_broker: Callable[..., RedisBroker]
    ) -> None:
        """The doctor raises an error if no server answers."""
        server = start_server()
        broker = make_broker(server.url, timeout=0.2)
        server.stop()
        with pytest.raises(BrokerUnavailable):
            await broker.diagnose()


def test_host_replica_fails() -> None:
    """A replica is a failure, because it accepts no jobs."""
    findings = about_host({"role": "slave", "master_host": "db1", "redis_version": "7.0"}, None)
    assert (Level.FAIL, "it is a replica of db1, and takes no jobs") in about(findings, "server")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("aof_last_write_status", "the latest append-only file could not be written"),
        ("rdb_last_bgsave_status", "the latest snapshot could not be written"),
    ],
)
def test_host_failed_write_fails(field: str, said: str) -> None:
    """A server that could not write to its disk is a failure."""
    assert (Level.FAIL, said) in about(about_host({field: "err"}, None), "persistence")


def test_host_nearly_full_memory_is_reported() -> None:
    """Nearly full memory is a warning."""
    findings = about_host({"used_memory": "95", "maxmemory": "100"}, None)
    assert about(findings, "memory") == [(Level.WARN, "95 B used of 100 B: soon no job can be enqueued")]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (1000.5, (Level.OK, "0.500 s between this host and the server")),
        (1003.0, (Level.WARN, "this host's clock is 3.0 s behind the server's")),
        (900.0, (Level.WARN, "this host's clock is 100.0 s ahead of the server's")),
    ],
)
def test_clock_offset_is_reported(there: float, said: tuple[Level, str]) -> None:
    """Clocks that differ by more than a second are a warning."""
    found = about_clock(1000.0, there, 0.001)
    assert (found.level, found.text) == said


@pytest.mark.parametrize(
    ("bytes", "shown"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5120.0 GiB")]
)
def test_format_bytes_picks_unit(bytes: int, shown: str) -> None:
    """A number of bytes is shown in B, KiB, MiB or GiB."""
    assert format_bytes(bytes) == shown


async def test_workers_with_stuck_slots_fail(broker: RedisBroker) -> None:
    """The finding has the number of slots and the worker's id."""
    await broker.heartbeat(structs.replace(WORKER, stuck=2), ttl=60)
    stuck = [one for one in await broker.diagnose() if one.subject == "workers" and one.level is Level.FAIL]
    assert [one.text for one in stuck] == ["2 of 10 slots are stuck: their tasks ignore a timeout or a cancellation"]
    assert "the logs of w1" in stuck[0].advice


async def test_impossible_queue_names_are_reported(
    broker: RedisBroker, raw: Any, namespace: str, tampered: list[bool]
) -> None:
    """Names that another program has stored are a warning, and the other queues are listed and searched."""
    tampered.append(True)
    await broker.enqueue([job("a")])
    raw.sadd(f"{{{namespace}}}:queue_names", "a b", b"\xff", "../x", "")
    assert [stats.queue for stats in await broker.queue_stats()] == ["q"]
    record = await broker.get_job("a", queue="q")
    assert record is not None
    assert await broker.cancel_job("a", queue="q") is True
    (text,) = [one.text for one in await broker.diagnose() if one.subject == "keys" and "no queue can have" in one.text]
    assert text == r"names of queues are stored that no queue can have: 4, for example , ../x, a b"
