"""Hash slots: the slot of a key, the slot map of a cluster, and redirections."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from aioq_redis.client.hash_slots import HASH_SLOTS, Redirection, SlotMap, hash_slot, read_redirection
from aioq_redis.client.url import Address

ASKED = Address("10.0.0.1", 7000)


@pytest.mark.parametrize("key", ["", "a", "{a}b", "x{a}", "{}a", "{a", "a}b{c}", "{{a}}", "{a}{b}", "\u00e9{\u00e9}"])
def test_hash_slot_agrees_with_redis_py(key: str) -> None:
    """The slot is that of the part in the first braces, or of the whole key."""
    assert hash_slot(key) == hash_slot(key.encode()) == key_slot(key.encode())


def test_slot_map_reads_owners_and_nodes() -> None:
    """A node without a host is at the host that was asked, and one with an unknown host is left out."""
    reply = [
        [0, 99, [b"10.0.0.2", 7001, b"id"], [b"10.0.0.3", 7002, b"id"]],
        [100, 100, [None, 7003, b"id"]],
        [101, HASH_SLOTS - 2, [b"?", 7004, b"id"]],
    ]
    slots = SlotMap.read(reply, ASKED)
    owners = [slots.owner(slot) for slot in (0, 99, 100, 101, HASH_SLOTS - 1)]
    assert owners == [Address("10.0.0.2", 7001)] * 2 + [Address("10.0.0.1", 7003), None, None]
    assert slots.owners == {Address("10.0.0.2", 7001), Address("10.0.0.1", 7003)}
    assert slots.nodes == slots.owners | {Address("10.0.0.3", 7002)}


def test_slot_map_assigns_moved_slot() -> None:
    """A redirection changes the owner of one slot."""
    slots = SlotMap.read([[0, HASH_SLOTS - 1, [b"10.0.0.2", 7001]]], ASKED)
    slots.assign(Redirection(5, ASKED))
    assert [slots.owner(slot) for slot in (4, 5)] == [Address("10.0.0.2", 7001), ASKED]


@pytest.mark.parametrize(
    ("text", "redirection"),
    [
        ("MOVED 3999 127.0.0.1:6381", Redirection(3999, Address("127.0.0.1", 6381))),
        ("ASK 1 [::1]:6381", Redirection(1, Address("::1", 6381))),
        ("MOVED 1 :6381", Redirection(1, Address("10.0.0.1", 6381))),
        ("MOVED 16384 127.0.0.1:6381", None),
        ("CLUSTERDOWN Hash slot not served", None),
    ],
)
def test_redirection_is_read_from_error(text: str, redirection: Redirection | None) -> None:
    """MOVED and ASK name a slot and a node; a node without a host is at the host that was asked."""
    assert read_redirection(text, ASKED) == redirection
