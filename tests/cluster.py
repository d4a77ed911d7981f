"""Groups of servers: a cluster, and a primary with replicas and sentinels."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.access import CLUSTER, REPLICAS, as_user
from tests.servers import START_TIMEOUT, RedisServer

__all__ = ["SLOTS", "Cluster", "Sentinels", "wait_until"]

SLOTS = 16384

HASTE = 600
"""Milliseconds of silence after which the nodes of a cluster consider a node dead."""

PROMPT = ("--repl-diskless-sync-delay", "0")
"""Lets replicas synchronize at once; by default the primary waits 5 seconds for further replicas."""


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until servers agree on something, which no event reports."""
    deadline = time.monotonic() + START_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the servers did not agree in time")
        time.sleep(0.02)


class Cluster:
    """A cluster of one test on 127.0.0.1, with its slots spread over three nodes.

    Args:
        program: The program of the servers.
        namespace: The namespace of the user in `url`.
        rights: Further rights of that user.
        options: Further options of the servers.
    """

    def __init__(
        self, program: Path, namespace: str, rights: Sequence[str] = (), *, options: Sequence[str] = ()
    ) -> None:
        self._program = program
        self._namespace = namespace
        self._rights = rights
        self._options = options
        self.nodes: list[RedisServer] = []
        """All nodes, primaries first."""

    @property
    def url(self) -> str:
        """Return the URL for a broker: it names one node, and the broker finds the others."""
        return as_user(self.open_url, self._namespace)

    @property
    def open_url(self) -> str:
        """Return the URL for a user with all rights."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    @property
    def url_of_all(self) -> str:
        """Return the URL for a broker that names all nodes, so that each of them may be away."""
        return f"{self.url},{','.join(f'127.0.0.1:{node.port}' for node in self.nodes[1:])}"

    @contextmanager
    def client(self) -> Generator[Any]:
        """Return a client that is connected past any broker."""
        client = redis.RedisCluster("127.0.0.1", self._alive().port, socket_timeout=START_TIMEOUT)
        try:
            yield client
        finally:
            client.close()

    def start(self) -> None:
        """Start the nodes, and return when they serve all slots."""
        for n in range(3):
            node, first, last = self._add(), SLOTS * n // 3, SLOTS * (n + 1) // 3
            _ask(node, "CLUSTER", "ADDSLOTS", *range(first, last))
        self._settle(3)

    def add_replica(self, primary: RedisServer) -> RedisServer:
        """Start a replica of a node, and return it when it is up to date."""
        replica = self._add()
        wait_until(lambda: self.id_of(primary) in _ask(replica, "CLUSTER", "NODES").decode())
        _ask(replica, "CLUSTER", "REPLICATE", self.id_of(primary))
        wait_until(lambda: b"master_link_status:up" in _ask(replica, "INFO", "replication"))
        self._settle(len(self.nodes))
        return replica

    def owner_of(self, slot: int) -> RedisServer:
        """Return the node that has a slot, as the other nodes see it."""
        for first, last, owner, *_ in _ask(self._alive(), "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == owner[1])
        raise RuntimeError(f"no node has slot {slot}")

    def serves(self, node: RedisServer) -> bool:
        """Return whether a node answers for its slots; a promoted replica needs a moment for it."""
        return b"cluster_state:ok" in _ask(node, "CLUSTER", "INFO")

    def move(self, slot: int, target: RedisServer) -> None:
        """Move a slot with all its keys to another node, as `redis-cli --cluster reshard` does."""
        source = self.owner_of(slot)
        self.begin_move(slot, target)
        self.end_move(slot, source, target)

    def begin_move(self, slot: int, target: RedisServer) -> None:
        """Begin to move a slot, without moving a key yet."""
        source = self.owner_of(slot)
        _ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        _ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))

    def move_key(self, slot: int, source: RedisServer, target: RedisServer) -> bool:
        """Move one key of a slot; return False if none is left."""
        keys = _ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1)
        if keys:
            _ask(source, "MIGRATE", "127.0.0.1", target.port, keys[0], 0, 5000)
        return bool(keys)

    def end_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Move the other keys of a slot, and give the slot to the target."""
        while self.move_key(slot, source, target):
            pass
        for node in (target, source, *self.nodes):
            _ask(node, "CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    def id_of(self, node: RedisServer) -> str:
        """Return the id of a node in the cluster."""
        return str(_ask(node, "CLUSTER", "MYID").decode())

    def close(self) -> None:
        """Kill all nodes."""
        for node in self.nodes:
            node.close()

    def _add(self) -> RedisServer:
        cluster = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(HASTE))
        user = {"namespace": self._namespace, "rights": (*CLUSTER, *self._rights)}
        node = _start(self._program, (*cluster, *PROMPT, *self._options), cluster=True, **user)
        self.nodes.append(node)
        if len(self.nodes) > 1:
            _ask(node, "CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        return node

    def _settle(self, known: int) -> None:
        wait_until(lambda: all(_is_settled(node, known) for node in self.nodes))

    def _alive(self) -> RedisServer:
        return next(node for node in self.nodes if node.running)


class Sentinels:
    """A primary, replicas, and sentinels that watch them under the name `main`.

    Sentinels replace the primary when `fail_over` tells them to, whether it runs or not. By themselves they do so after
    30 s of silence, for which no test waits: with a shorter time, a machine that stalls for a moment would let them replace
    the new primary too, and lose the data that only it has.

    Args:
        program: The program of the servers.
        namespace: The namespace of the user in `url`.
        replicas: Number of replicas.
        sentinels: Number of sentinels; fewer than two cannot fail over.
    """

    def __init__(self, program: Path, namespace: str, replicas: int = 1, sentinels: int = 3) -> None:
        self._program = program
        self._namespace = namespace
        self._count = sentinels
        user = {"namespace": namespace, "rights": REPLICAS}
        self.servers = [_start(program, PROMPT, **user) for _ in range(replicas + 1)]
        """The servers; the first one starts as the primary."""
        self.sentinels: list[RedisServer] = []

    @property
    def url(self) -> str:
        """Return the URL for a broker: the addresses of the sentinels."""
        addresses = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return as_user(f"redis+sentinel://{addresses}/main", self._namespace)

    def start(self) -> None:
        """Return when the replicas are up to date, and the sentinels know all."""
        primary, *replicas = self.servers
        for replica in replicas:
            _ask(replica, "REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: f"connected_slaves:{len(replicas)}" in _ask(primary, "INFO", "replication").decode())
        wait_until(lambda: all(b"link_status:up" in _ask(replica, "INFO", "replication") for replica in replicas))
        for _ in range(self._count):
            self._add()
        wait_until(lambda: all(self._knows_all(sentinel) for sentinel in self.sentinels))

    def primary(self) -> RedisServer:
        """Return the server that is the primary according to a sentinel."""
        _, port = _ask(self.sentinels[-1], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        return next(server for server in self.servers if server.port == int(port))

    def fail_over(self) -> None:
        """Let the sentinels promote a replica, whether the primary runs or not."""
        _ask(self.sentinels[0], "SENTINEL", "FAILOVER", "main")

    def close(self) -> None:
        """Kill all."""
        for server in (*self.sentinels, *self.servers):
            server.close()

    def _add(self) -> None:
        sentinel = _start(self._program, ("--sentinel",), file=True)
        self.sentinels.append(sentinel)
        _ask(sentinel, "SENTINEL", "MONITOR", "main", "127.0.0.1", self.servers[0].port, 2)

    def _knows_all(self, sentinel: RedisServer) -> bool:
        reply = _ask(sentinel, "SENTINEL", "MASTER", "main")
        facts = dict(zip(reply[::2], reply[1::2], strict=True))
        return (int(facts[b"num-slaves"]), int(facts[b"num-other-sentinels"])) == (
            len(self.servers) - 1,
            self._count - 1,
        )


def _start(program: Path, options: Sequence[str] = (), **more: Any) -> RedisServer:
    server = RedisServer(program, options, tcp=True, **more)
    server.start()
    return server


def _ask(server: RedisServer, *parts: object) -> Any:
    with server.client(protocol=2) as connection:
        client: Any = connection
        client.response_callbacks.clear()  # replies as they come
        return client.execute_command(*parts)


def _is_settled(node: RedisServer, known: int) -> bool:
    info = _ask(node, "CLUSTER", "INFO").decode()
    return "cluster_state:ok" in info and f"cluster_known_nodes:{known}\r" in info
