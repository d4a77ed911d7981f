"""Which node of a cluster has which keys: hash slots, their owners, and redirections."""

from __future__ import annotations

import re
from binascii import crc_hqx
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aioq_redis.client.url import Address

__all__ = ["HASH_SLOTS", "Redirection", "SlotMap", "hash_slot", "read_redirection"]

HASH_SLOTS: Final = 16384
"""Hash slots that every cluster has."""

_REDIRECTION: Final = re.compile(r"\b(MOVED|ASK) (\d{1,5}) (\S*):(\d{1,5})\b")


class Redirection(NamedTuple):
    """The node to which another node sends a client."""

    slot: int
    address: Address


class SlotMap:
    """The owner of each hash slot.

    Attributes:
        nodes: All known nodes, replicas included.
    """

    def __init__(self, owners: list[Address | None], nodes: frozenset[Address]) -> None:
        self._owners = owners
        self.nodes = nodes

    @classmethod
    def read(cls, reply: list[Any], asked: Address) -> SlotMap:
        """Read the reply to CLUSTER SLOTS of the node at `asked`."""
        owners: list[Address | None] = [None] * HASH_SLOTS
        nodes: set[Address] = set()
        for first, last, *served in reply:
            addresses = [_address(node, asked) for node in served]
            nodes.update(address for address in addresses if address)
            # The first node of a range is the primary, and the others are its replicas.
            owners[first : last + 1] = [addresses[0] if addresses else None] * (last + 1 - first)
        return cls(owners, frozenset(nodes))

    @property
    def owners(self) -> frozenset[Address]:
        """The nodes that have slots."""
        return frozenset(owner for owner in set(self._owners) if owner)

    def owner(self, slot: int) -> Address | None:
        """Return the node that has a slot."""
        return self._owners[slot]

    def assign(self, redirection: Redirection) -> None:
        """Note that a slot has moved."""
        self._owners[redirection.slot] = redirection.address


# The keys of a queue come again and again.
@lru_cache(maxsize=4096)
def hash_slot(key: str | bytes) -> int:
    """Return the hash slot of a key: of the part in the first braces, if there is one."""
    name = key.encode() if isinstance(key, str) else key
    _, brace, rest = name.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    # The CRC-16 of the cluster specification. Braces with nothing in between do not count.
    return crc_hqx(tag if brace and closed and tag else name, 0) % HASH_SLOTS


def read_redirection(text: str, asked: Address) -> Redirection | None:
    """Return where a MOVED or ASK error of the node at `asked` sends the client."""
    found = _REDIRECTION.search(text)
    if not found or int(found[2]) >= HASH_SLOTS:
        return None
    # No host means the node that was asked. IPv6 addresses are in brackets.
    return Redirection(int(found[2]), Address(found[3].strip("[]") or asked.host, int(found[4])))


def _address(node: list[Any], asked: Address) -> Address | None:
    """Return the address of a node. A node that does not know its own host is at the host that was asked."""
    host = (node[0] or b"").decode()
    # A question mark stands for a node whose host the asked node has not learned yet.
    return None if host == "?" else Address(host or asked.host, int(node[1]))
