"""Refuses data whose values were chosen to collide in a hash table.

A set of 30,000 numbers that collide takes 12 s to build, and nothing else runs meanwhile. So the values of each set,
and the keys of each dict, are first decoded in parts and put into a table of the same kind, while the processor time
is watched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import cycle
from types import GenericAlias
from typing import Any, Final

import msgspec
from msgspec import Raw, inspect

from aioq.clock import cpu_time
from aioq.errors import SerializationError
from aioq.serialization.table_types import EVERY_KEY, TableTypes, annotation_of

__all__ = ["SMALL", "FloodGuard", "HashFlood"]

SMALL: Final = 32
"""Commas in data up to which collisions cost nothing to speak of."""

PART: Final = 128
"""Values after which the clock is read."""

MAX_SECONDS: Final = 0.1
"""Seconds of processor time that the collisions in one payload or result may take."""

BUILD_PER_HASH: Final = 4
"""How many times as long as the hashes of its values a table without collisions takes, at most."""

_items_of = msgspec.json.Decoder(list[Raw]).decode
_members_of = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


class HashFlood(SerializationError):
    """The values of a set, or the keys of a dict, collide; the message has the path to it."""


class FloodGuard:
    """Checks data of one type.

    Args:
        annotation: The type. msgspec can make a decoder for it.
        dec_hook: Builds values that msgspec does not support.
    """

    def __init__(self, annotation: Any, dec_hook: Callable[[Any, object], object]) -> None:
        self._annotation = annotation
        self._dec_hook = dec_hook
        # With their types, so that these keep their ids.
        self._decoders: dict[int, tuple[inspect.Type, Callable[[bytes | Raw], Any]]] = {}

    @cached_property
    def _types(self) -> TableTypes:
        """The parts of the type; looked up when the first large data come, because most tasks have none."""
        return TableTypes(self._annotation)

    def checked(self, data: bytes) -> bytes:
        """Return the data, with each name once in an object: a decoder builds the tables of all of them.

        Raises:
            HashFlood: A table would take too long to build.
            msgspec.DecodeError: The data are not JSON.
        """
        if data.count(b",") < SMALL or not self._types.fills(self._types.root):
            return data
        # All of it first: a decoder has built the tables before it comes to a byte that is wrong.
        whole = msgspec.json.decode(data, type=Raw)
        return bytes(self._checked(self._types.root, whole, "", Budget()))

    def _checked(self, node: inspect.Type, raw: Raw, path: str, budget: Budget) -> Raw:
        if not self._types.fills(node):
            return raw
        if alternatives := self._types.alternatives(node):
            for alternative in alternatives:
                raw = self._checked(alternative, raw, path, budget)
            return raw
        raw = self._checked_parts(node, raw, path, budget)
        hashed = self._types.hashed(node)
        if hashed is not None and isinstance(node, inspect.SetType | inspect.FrozenSetType):
            budget.spend(self._values(hashed, raw), set[Hashable]().update, path, "values of the set")
        elif hashed is not None:
            budget.spend(self._keys(hashed, raw), _fill_dict({}), path, "keys of the dict")
        return raw

    def _checked_parts(self, node: inspect.Type, raw: Raw, path: str, budget: Budget) -> Raw:
        """Check the parts of a value if these may fill tables."""
        in_list, in_object = self._types.types_of_items(node), self._types.types_of_members(node)
        if any(map(self._types.fills, in_list)) and (items := _split(_items_of, raw)):
            for n, (type, item) in enumerate(zip(cycle(in_list), items, strict=False)):
                items[n] = self._checked(type, item, f"{path}[{n}]", budget)
            return Raw(_encode(items))
        if any(map(self._types.fills, in_object.values())) and (members := _split(_members_of, raw)):
            for name, member in members.items():
                if (part := in_object.get(name) or in_object.get(EVERY_KEY)) is not None:
                    members[name] = self._checked(part, member, f"{path}.{name}".lstrip("."), budget)
            return Raw(_encode(members))
        return raw

    def _values(self, type: inspect.Type, raw: Raw) -> Sequence[Hashable]:
        """Return the values of a set."""
        decode = self._decoder(type, GenericAlias(list, (annotation_of(type),)))
        try:
            values: list[Hashable] = decode(raw)
        except Exception:  # some do not fit the type; the decoder says so later, with their path
            return list(_decoded(decode, list, _split(_items_of, raw) or []))
        return values

    def _keys(self, type: inspect.Type, raw: Raw) -> Sequence[Hashable]:
        """Return the keys of a dict."""
        decode = self._decoder(type, GenericAlias(dict, (annotation_of(type), None)))
        return list(_decoded(decode, dict.fromkeys, list(_split(_members_of, raw) or ())))

    def _decoder(self, node: inspect.Type, annotation: Any) -> Callable[[bytes | Raw], Any]:
        found = self._decoders.get(id(node))
        if found is None:
            found = node, msgspec.json.Decoder(annotation, dec_hook=self._dec_hook).decode
            self._decoders[id(node)] = found
        return found[1]


class Budget:
    """The processor time that is left for the collisions in one payload or result."""

    def __init__(self) -> None:
        self._left = MAX_SECONDS

    def spend(
        self, values: Sequence[Hashable], fill: Callable[[Sequence[Hashable]], object], path: str, what: str
    ) -> None:
        """Put values into a table with `fill`.

        Raises:
            HashFlood: It takes too long.
        """
        began = cpu_time()
        deque(map(hash, values), maxlen=0)
        now = cpu_time()
        ends = now + self._left + BUILD_PER_HASH * (now - began)
        for at in range(0, len(values), PART):
            fill(values[at : at + PART])
            now = cpu_time()
            if now > ends:
                text = f"the {len(values):,} {what} collide in its hash table, as if chosen to block the process"
                raise HashFlood(f"{path}: {text}; pass them as a list".lstrip(": "))
        self._left = min(self._left, ends - now)


def _split(split: Callable[[Raw], Any], raw: Raw) -> Any:
    """Return the items of a list, or the members of an object; None if the data are something else."""
    try:
        return split(raw)
    except msgspec.ValidationError:
        return None


def _decoded(
    decode: Callable[[bytes], Iterable[Hashable]], collect: Callable[[list[Any]], object], parts: list[Any]
) -> Iterator[Hashable]:
    """Decode values in parts, each too small to have many collisions; leave out those that do not fit the type."""
    for at in range(0, len(parts), PART):
        part = parts[at : at + PART]
        try:
            yield from decode(_encode(collect(part)))
        except Exception:  # the decoder says so later, with the path
            if len(part) > 1:
                yield from (value for one in part for value in _decoded(decode, collect, [one]))


def _fill_dict(table: dict[Hashable, None]) -> Callable[[Sequence[Hashable]], None]:
    def fill(keys: Sequence[Hashable]) -> None:
        for key in keys:
            table[key] = None

    return fill
