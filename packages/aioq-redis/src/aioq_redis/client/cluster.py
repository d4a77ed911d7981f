"""Redis Cluster: commands go to the node that has their keys, and follow keys that move.

Each node has one connection for commands. The map of slots is read when it is first needed,
and again, in the background, whenever a node sends us elsewhere, cannot be reached, or has
to be connected to once more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from random import sample
from typing import Any, Final

from aioq.errors import AioqError, BrokerConfigError
from aioq_redis.client.command import Command
from aioq_redis.client.connection import Link, access_denied, ask, dial
from aioq_redis.client.errors import ConnectionLost, ErrorReply, Unreachable
from aioq_redis.client.hash_slots import Slots, read_redirect, slot_of
from aioq_redis.client.pipeline import Pipeline
from aioq_redis.client.url import Address, Settings

__all__ = ["Cluster"]

ANSWER_TIMEOUT: Final = 1.0
"""Seconds that a node has to tell of the slots, before another is asked."""

LOOK_PAUSE: Final = 0.1
"""Seconds between two looks at the map."""

MOST_HOPS: Final = 5
"""So often a command is sent on, before it waits for the nodes to agree."""

logger = logging.getLogger("aioq.redis")


class Asking(Command):
    """Goes before a command that follows ASK, as long as somebody waits for that."""

    def __init__(self, command: Command) -> None:
        super().__init__(None, (), ("ASKING",))
        self._command = command

    def answer(self, reply: object) -> None:
        """Do nothing: it is the next reply that counts."""

    def fail(self, error: Exception) -> None:
        """Fail the command, which must not go alone."""
        self._command.fail(error)


class Cluster:
    """The way to the nodes of a cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._slots: Slots | None = None
        self._nodes: dict[Address, Pipeline] = {}
        self._met: set[Address] = set()
        self._homeless: list[Command] = []
        self._look: asyncio.Task[None] | None = None
        self._looked = -LOOK_PAUSE
        self._failure: Exception = ConnectionLost("the connection was closed")
        self._retired: set[asyncio.Task[None]] = set()
        self._closed = False
        self.commands = self

    def submit(self, command: Command) -> asyncio.Future[Any]:
        """Send a command to the node that has its keys; see `Sink.submit`."""
        if self._closed:
            command.fail(ConnectionLost("the connection was closed"))
        elif self._slots is None:
            self._homeless.append(command)
            self.doubt()
        elif (owner := self._slots.owner(slot_of(command.key))) is None:
            command.fail(self._unserved(slot_of(command.key)))
        else:
            self._node(owner).submit(command)
        return command.future

    def place(self, key: str | bytes) -> int:
        """Return the slot of a key."""
        return slot_of(key)

    async def dial(self, place: int) -> Link:
        """Open a connection to the node that has a slot; see `Route.dial`."""
        owner = (await self._known()).owner(place)
        if owner is None:
            raise self._unserved(place)
        try:
            return await dial(self._settings.at(owner))
        except ConnectionLost:
            self.doubt()
            raise

    def doubt(self) -> None:
        """Look at the map again, soon and in the background."""
        if not self._closed and (self._look is None or self._look.done()):
            self._look = asyncio.get_running_loop().create_task(self._look_around(), name="aioq.redis cluster")

    async def everywhere(self, parts: Sequence[object]) -> dict[str, Any]:
        """Send a plain command to each node that has slots; see `Route.everywhere`."""
        owners = sorted((await self._known()).owners)
        if not owners:
            raise self._unserved(0)
        calls = (self._node(owner).submit(Command(None, (), parts)) for owner in owners)
        replies = await asyncio.gather(*calls, return_exceptions=True)
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply
        return dict(zip(map(str, owners), replies, strict=True))

    async def close(self) -> None:
        """Close the connections for commands."""
        self._closed = True
        if self._look is not None:
            self._look.cancel()
            await asyncio.wait([self._look])
        self._fail_homeless(ConnectionLost("the connection was closed"))
        for node in self._nodes.values():
            await node.close()
        for task in self._retired:
            await asyncio.wait([task])

    def _node(self, address: Address) -> Pipeline:
        node = self._nodes.get(address)
        if node is None:
            name = self._settings.at(address).masked
            node = Pipeline(partial(self._dial_node, address), name, partial(self._reroute, address))
            self._nodes[address] = node
        return node

    async def _dial_node(self, address: Address) -> Link:
        if address in self._met:
            # One that was lost may be no longer what it was.
            self.doubt()
        self._met.add(address)
        return await dial(self._settings.at(address))

    def _reroute(self, address: Address, command: Command, refusal: ErrorReply) -> bool:
        """Deal with an answer that says that the node is the wrong one, or the cluster not in order."""
        redirect = read_redirect(refusal.text, address)
        command.hops += 1
        if redirect is not None and command.hops <= MOST_HOPS:
            node = self._node(redirect.address)
            if refusal.code == "ASK":
                node.submit(Asking(command))
            elif self._slots is not None:
                self._slots.assign(redirect)
                self.doubt()
            node.submit(command)
            return True
        if refusal.code != "TRYAGAIN":
            self.doubt()
        if redirect is None and refusal.code not in ("TRYAGAIN", "CLUSTERDOWN"):
            return False
        command.fail(ConnectionLost(refusal.text))
        return True

    async def _known(self) -> Slots:
        if self._slots is None:
            self.doubt()
        if self._slots is None and self._look is not None:
            # If we are cancelled, others still wait for it.
            await asyncio.wait([self._look])
        if self._slots is None:
            raise type(self._failure)(*self._failure.args)
        return self._slots

    async def _look_around(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._looked + LOOK_PAUSE - loop.time())
        self._looked = loop.time()
        try:
            self._adopt(await self._ask_around())
        except (ConnectionLost, AioqError) as error:
            self._failure = error
            self._fail_homeless(error)
            logger.info("cannot learn of the slots of %s: %s", self._settings.masked, error)

    async def _ask_around(self) -> Slots:
        """Ask the nodes in any order: one that is cut off may not know that the others have moved on."""
        known = self._slots.nodes if self._slots else frozenset[Address]()
        seeds = [address for address in self._settings.addresses if address not in known]
        reasons = ""
        for address in [*sample(sorted(known), len(known)), *seeds]:
            try:
                return await self._ask(address)
            except ConnectionLost as error:
                reasons = f"{reasons}; node {address}: {error}"
        raise Unreachable(f"no node tells of the slots{reasons}")

    async def _ask(self, address: Address) -> Slots:
        reply = await ask(self._settings.at(address), "CLUSTER", "SLOTS", timeout=ANSWER_TIMEOUT)
        if isinstance(reply, ErrorReply) and reply.code == "NOAUTH":
            raise access_denied(self._settings.at(address).masked, reply)
        if isinstance(reply, ErrorReply):
            raise BrokerConfigError(
                f"{address} of {self._settings.masked} does not tell of a cluster: {reply.text}; "
                f"for a single server write redis://, and a restricted user needs +cluster|slots"
            )
        return Slots.read(reply, address)

    def _adopt(self, slots: Slots) -> None:
        before, self._slots = self._slots, slots
        if before is not None:
            for address in before.owners - slots.owners:
                self._retire(address)
            if before.owners != slots.owners:
                logger.info("the slots of %s are now on %s", self._settings.masked, _listed(slots.owners))
        homeless, self._homeless = self._homeless, []
        for command in homeless:
            self.submit(command)

    def _fail_homeless(self, error: Exception) -> None:
        homeless, self._homeless = self._homeless, []
        for command in homeless:
            command.fail(type(error)(*error.args))

    def _retire(self, address: Address) -> None:
        """Close the connection to a node that has no slots any more; it may hang, and what is on its way with it."""
        self._met.discard(address)
        node = self._nodes.pop(address, None)
        if node is not None:
            task = asyncio.get_running_loop().create_task(node.close(), name="aioq.redis retired node")
            self._retired.add(task)
            task.add_done_callback(self._retired.discard)

    def _unserved(self, slot: int) -> ConnectionLost:
        self.doubt()
        return ConnectionLost(f"no node of the cluster has slot {slot}")


def _listed(addresses: frozenset[Address]) -> str:
    return ", ".join(map(str, sorted(addresses))) or "no node"
