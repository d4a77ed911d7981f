"""Which node of a cluster has which keys, as far as we know."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from aioq_redis.client.url import Address

__all__ = ["Redirect", "Slots", "read_redirect", "slot_of"]

_REDIRECT: Final = re.compile(r"\b(MOVED|ASK) (\d{1,5}) (\S*):(\d{1,5})\b")


class Redirect(NamedTuple):
    """Where a node sends us."""

    slot: int
    address: Address


class Slots:
    """The owner of each slot."""

    def __init__(self, owners: list[Address | None], nodes: frozenset[Address]) -> None:
        self._owners = owners
        self.nodes = nodes
        """All that are known, replicas too."""

    @classmethod
    def read(cls, reply: list[Any], asked: Address) -> Slots:
        """Read the reply to CLUSTER SLOTS of the node at `asked`."""
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        nodes: set[Address] = set()
        for first, last, *served in reply:
            addresses = [address for node in served if (address := _address(node, asked))]
            nodes.update(addresses)
            owner = _address(served[0], asked) if served else None
            owners[first : last + 1] = [owner] * (last + 1 - first)
        return cls(owners, frozenset(nodes))

    @property
    def owners(self) -> frozenset[Address]:
        """The nodes that have slots."""
        return frozenset(owner for owner in set(self._owners) if owner)

    def owner(self, slot: int) -> Address | None:
        """Return the node that has a slot."""
        return self._owners[slot]

    def assign(self, redirect: Redirect) -> None:
        """Note that a slot has moved."""
        self._owners[redirect.slot] = redirect.address


@lru_cache(maxsize=4096)
def slot_of(key: str | bytes) -> int:
    """Return the slot of a key."""
    return key_slot(key.encode() if isinstance(key, str) else key)


def read_redirect(text: str, asked: Address) -> Redirect | None:
    """Return what a MOVED or ASK of the node at `asked` says."""
    found = _REDIRECT.search(text)
    if not found or int(found[2]) >= REDIS_CLUSTER_HASH_SLOTS:
        return None
    return Redirect(int(found[2]), Address(found[3].strip("[]") or asked.host, int(found[4])))


def _address(node: list[Any], asked: Address) -> Address | None:
    """Return where a node says it is: with no host of its own it is at the one that was asked."""
    host = (node[0] or b"").decode()
    return None if host == "?" else Address(host or asked.host, int(node[1]))
