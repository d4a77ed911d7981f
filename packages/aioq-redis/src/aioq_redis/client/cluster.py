"""Redis Cluster: sends each command to the node that has its keys, and follows keys that move.

Each node has one connection for commands. The slot map is read when it is first needed, and again in the background
after a redirection, a node that cannot be reached, and a lost connection. A node that cannot be reached is known to be
away until it answers again, so that calls on several queues need not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from functools import partial
from random import sample
from typing import Any, Final

from aioq.errors import AioqError, BrokerConfigError
from aioq_redis.client.away_nodes import AwayNodes
from aioq_redis.client.connection import Connection, ask_once, connect
from aioq_redis.client.errors import ConnectionLost, ErrorReply, NotReady, Unreachable
from aioq_redis.client.hash_slots import SlotMap, hash_slot, read_redirection
from aioq_redis.client.pipeline import Command, Pipeline
from aioq_redis.client.url import Address, Settings

__all__ = ["Cluster"]

SLOTS_TIMEOUT: Final = 1.0
"""Seconds for a node to return the slot map, before another node is asked."""

REFRESH_PAUSE: Final = 0.1
"""Seconds between two readings of the slot map."""

MAX_HOPS: Final = 5
"""Redirections of one command, after which it fails and is tried again later."""

logger = logging.getLogger("aioq.redis")

_CLUSTER_DOWN: Final = "The cluster is down"
"""A part of what a node answers to all commands, unlike what it says if one hash slot has no node."""


class Asking(Command):
    """The ASKING that goes before a command which follows an ASK."""

    def __init__(self, command: Command) -> None:
        super().__init__(None, (), ("ASKING",))
        self._command = command

    def answer(self, reply: object) -> None:
        """Do nothing: the next reply counts."""

    def fail(self, error: Exception) -> None:
        """Fail the command, which must not go alone."""
        self._command.fail(error)


class Cluster:
    """The route to the nodes of a cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots: SlotMap | None = None
        self._nodes: dict[Address, Pipeline] = {}
        self._connected: set[Address] = set()
        self._unrouted: list[Command] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_at = -REFRESH_PAUSE
        self._failure: Exception = ConnectionLost("the connection was closed")
        self._closing_nodes: set[asyncio.Task[None]] = set()
        self._closed = False
        self._away = AwayNodes(settings, self.suspect)
        self.commands = self

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Send a command to the node that has its keys; see `Sender.submit`."""
        if self._closed:
            command.fail(ConnectionLost("the connection was closed"))
        elif self._slots is None:
            self._unrouted.append(command)
            self.suspect()
        elif (owner := self._owner(command.key)) is None:
            command.fail(self._unserved(hash_slot(command.key)))
        else:
            self._node(owner).submit(command)
        return command.future

    def alive_until(self, command: Command | None) -> float:
        """Return until when a reply may still come; see `Sender.alive_until`."""
        return max((node.alive_until(command) for node in self._nodes.values()), default=-math.inf)

    def place(self, key: str | bytes) -> int:
        """Return the hash slot of a key."""
        return hash_slot(key)

    async def connect(self, place: int) -> Connection:
        """Open a connection to the node that has a slot; see `Route.connect`."""
        owner = (await self._known_slots()).owner(place)
        if owner is None:
            raise self._unserved(place)
        try:
            return await self._open(owner)
        except ConnectionLost:
            self.suspect()
            raise

    def suspect(self) -> None:
        """Read the slot map again, in the background."""
        # One reading at a time: when a node goes down, many commands fail together.
        if not self._closed and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh(), name="aioq.redis cluster")

    def away(self, key: str | bytes) -> str:
        """Return why the node of a key cannot be reached; see `Route.away`."""
        if self._slots is None:
            return ""
        slot = hash_slot(key)
        owner = self._slots.owner(slot)
        return f"no node of the cluster has slot {slot}" if owner is None else self._away.reason(owner)

    def note_away(self, key: str | bytes, reason: str) -> None:
        """Note that the node of a key did not answer in time; see `Route.note_away`."""
        owner = self._slots.owner(hash_slot(key)) if self._slots else None
        if owner is not None:
            self._lose(owner, reason)

    def note_server_away(self, server: str, reason: str) -> None:
        """Note that a node did not answer; see `Route.note_server_away`."""
        for owner in self._slots.owners if self._slots else ():
            if str(owner) == server:
                self._lose(owner, reason)

    async def servers(self) -> Mapping[str, Pipeline]:
        """Return the sender to each node that has slots; see `Route.servers`."""
        owners = sorted((await self._known_slots()).owners)
        if not owners:
            raise self._unserved(0)
        return {str(owner): self._node(owner) for owner in owners}

    async def close(self) -> None:
        """Close the connections for commands."""
        self._closed = True
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])
        await self._away.close()
        self._fail_unrouted(ConnectionLost("the connection was closed"))
        for node in self._nodes.values():
            await node.close()
        for task in self._closing_nodes:
            await asyncio.wait([task])

    def _node(self, address: Address) -> Pipeline:
        node = self._nodes.get(address)
        if node is None:
            name = self._settings.at(address).masked
            node = Pipeline(partial(self._connect_node, address), name, partial(self._reroute, address))
            self._nodes[address] = node
        return node

    async def _connect_node(self, address: Address) -> Connection:
        # A node that must be connected to again may have lost its slots meanwhile.
        if address in self._connected:
            self.suspect()
        self._connected.add(address)
        return await self._open(address)

    async def _open(self, address: Address) -> Connection:
        try:
            return await connect(self._settings.at(address))
        except Unreachable as error:
            self._lose(address, str(error))
            raise Unreachable(f"node {address}: {error}") from None

    def _lose(self, address: Address, reason: str) -> None:
        if not self._closed and not self._away.reason(address):
            self._away.add(address, reason)

    def _owner(self, key: str | bytes) -> Address | None:
        """Return the node that has a key; for a command without a key, one that can be reached."""
        assert self._slots is not None  # noqa: S101  # commands are routed once there is a slot map
        owner = self._slots.owner(hash_slot(key))
        if key or (owner is not None and not self._away.reason(owner)):
            return owner
        return next((one for one in sorted(self._slots.owners) if not self._away.reason(one)), owner)

    def _reroute(self, address: Address, command: Command, error: ErrorReply) -> bool:
        """Handle the error of a node that is not the right one, or of a cluster that is not in order."""
        redirection = read_redirection(error.text, address)
        command.hops += 1
        # Two nodes with old maps may point at each other.
        if redirection is not None and command.hops <= MAX_HOPS:
            node = self._node(redirection.address)
            if error.code == "ASK":
                # ASKING counts for the next command of the connection: no other command may be submitted in between.
                node.submit(Asking(command))
            elif self._slots is not None:
                self._slots.assign(redirection)
                self.suspect()
            node.submit(command)
            return True
        # TRYAGAIN means that a slot is moving and its keys are on two nodes: the map is right.
        if error.code != "TRYAGAIN":
            self.suspect()
        if error.code == "LOADING" or _CLUSTER_DOWN in error.text:
            self._lose(address, error.text)
        if redirection is None and error.code not in ("TRYAGAIN", "CLUSTERDOWN"):
            return False
        command.fail(NotReady(error))
        return True

    async def _known_slots(self) -> SlotMap:
        if self._slots is None:
            self.suspect()
        if self._slots is None and self._refreshing is not None:
            # Not awaited itself: a cancelled caller must not cancel what others wait for.
            await asyncio.wait([self._refreshing])
        if self._slots is None:
            # Each caller gets an error of its own: the traceback grows wherever it is raised.
            raise type(self._failure)(*self._failure.args)
        return self._slots

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._refreshed_at + REFRESH_PAUSE - loop.time())
        self._refreshed_at = loop.time()
        try:
            self._adopt(await self._read_slots())
        except (ConnectionLost, AioqError) as error:
            self._failure = error
            self._fail_unrouted(error)
            logger.info(
                "cannot read the slot map of %s: %s",
                self._settings.masked,
                error,
                extra={"event": "slot_map_unreadable"},
            )

    async def _read_slots(self) -> SlotMap:
        """Ask the known nodes in random order: a node that is cut off has an old map. Then ask those of the URL."""
        known = self._slots.nodes if self._slots else frozenset[Address]()
        # Those of the URL may have left the cluster since, so they come last.
        seeds = [address for address in self._settings.addresses if address not in known]
        reasons = ""
        for address in [*sample(sorted(known), len(known)), *seeds]:
            try:
                return await self._ask_slots(address)
            except ConnectionLost as error:
                reasons = f"{reasons}; node {address}: {error}"
        raise Unreachable(f"no node returns the slot map{reasons}")

    async def _ask_slots(self, address: Address) -> SlotMap:
        reply = await ask_once(self._settings.at(address), "CLUSTER", "SLOTS", timeout=SLOTS_TIMEOUT)
        if isinstance(reply, ErrorReply):
            raise BrokerConfigError(
                f"{address} of {self._settings.masked} does not return the slot map of a cluster: {reply.text}; "
                f"for a single server write redis://, and a restricted user needs +cluster|slots"
            )
        return SlotMap.read(reply, address)

    def _adopt(self, slots: SlotMap) -> None:
        before, self._slots = self._slots, slots
        self._away.keep(slots.owners)
        if before is not None:
            # A node without slots may stay up, and would keep its connection for ever.
            for address in before.owners - slots.owners:
                self._close_node(address)
            if before.owners != slots.owners:
                owners = ", ".join(map(str, sorted(slots.owners))) or "no node"
                logger.info(
                    "the slots of %s are now on %s", self._settings.masked, owners, extra={"event": "slots_moved"}
                )
        unrouted, self._unrouted = self._unrouted, []
        for command in unrouted:
            if command.awaited():
                self.submit(command)

    def _fail_unrouted(self, error: Exception) -> None:
        unrouted, self._unrouted = self._unrouted, []
        for command in unrouted:
            command.fail(type(error)(*error.args))

    def _close_node(self, address: Address) -> None:
        """Close the connection to a node without slots; if it hangs, so do the commands under way."""
        self._connected.discard(address)
        node = self._nodes.pop(address, None)
        if node is not None:
            task = asyncio.get_running_loop().create_task(node.close(), name="aioq.redis closing node")
            self._closing_nodes.add(task)
            task.add_done_callback(self._closing_nodes.discard)

    def _unserved(self, slot: int) -> ConnectionLost:
        self.suspect()
        return ConnectionLost(f"no node of the cluster has slot {slot}")
