"""Finds the parts of a type that a decoder puts into hash tables by hashes that can be computed beforehand.

Python randomizes the hashes of text and bytes. It does not randomize those of numbers, UUIDs, times, and tuples or
objects of these, so a program can compute values that all collide.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import GenericAlias
from typing import Any, Final, Literal, Union
from uuid import UUID

from msgspec import inspect

__all__ = ["EVERY_KEY", "TableTypes", "annotation_of"]

SCALARS: Final[Mapping[type[inspect.Type], Any]] = {
    inspect.AnyType: Any,
    inspect.BoolType: bool,
    inspect.ByteArrayType: bytearray,
    inspect.BytesType: bytes,
    inspect.DateTimeType: datetime,
    inspect.DateType: date,
    inspect.DecimalType: Decimal,
    inspect.FloatType: float,
    inspect.IntType: int,
    inspect.NoneType: None,
    inspect.StrType: str,
    inspect.TimeDeltaType: timedelta,
    inspect.TimeType: time,
    inspect.UUIDType: UUID,
}

NOT_COMPUTABLE: Final = (
    inspect.BoolType,
    inspect.BytesType,
    inspect.DateType,
    inspect.EnumType,
    inspect.LiteralType,
    inspect.NoneType,
    inspect.StrType,
)
"""Types with random hashes, or with few values."""


EVERY_KEY: Final = ""
"""Stands for all keys of a dict."""


class TableTypes:
    """A type and its parts, and which of them fill hash tables.

    Args:
        annotation: A type for which msgspec can make a decoder.
    """

    def __init__(self, annotation: Any) -> None:
        self._fills: dict[Hashable, bool] = {}
        self._models: dict[type, dict[str, inspect.Type]] = {}
        self.root = inspect.type_info(annotation)

    def fills(self, node: inspect.Type) -> bool:
        """Return whether values of a type, or parts of them, fill hash tables by hashes that can be computed."""
        name = node.cls if isinstance(node, inspect.CustomType) else id(node)
        found = self._fills.get(name)
        if found is None:
            # A type may contain itself: its other parts decide.
            self._fills[name] = False
            found = self._fills[name] = self.hashed(node) is not None or any(map(self.fills, self._parts(node)))
        return found

    def hashed(self, node: inspect.Type) -> inspect.Type | None:
        """Return the type of the values of a set, or of the keys of a dict, if their hashes can be computed."""
        if isinstance(node, inspect.SetType | inspect.FrozenSetType):
            return node.item_type if _is_computable(node.item_type) else None
        key = getattr(node, "key_type", None)
        # Keys of any type stay text.
        is_hashed = isinstance(key, inspect.Type) and not isinstance(key, inspect.AnyType) and _is_computable(key)
        return key if is_hashed else None

    def alternatives(self, node: inspect.Type) -> Sequence[inspect.Type]:
        """Return the alternatives of a union or an annotated type; none if it is another type."""
        if isinstance(node, inspect.Metadata):
            return [node.type]
        return node.types if isinstance(node, inspect.UnionType) else ()

    def types_of_items(self, node: inspect.Type) -> Sequence[inspect.Type]:
        """Return the types of the items of a tuple or of an object stored as a list; a list or set has one type."""
        if (item := getattr(node, "item_type", None)) is not None:
            return [item]
        tag = [inspect.AnyType()] if getattr(node, "tag", None) is not None else []
        return getattr(node, "item_types", None) or [*tag, *self._fields(node).values()]

    def types_of_members(self, node: inspect.Type) -> Mapping[str, inspect.Type]:
        """Return the types of the fields of an object, by name; that of all values of a dict as `EVERY_KEY`."""
        if (value := getattr(node, "value_type", None)) is not None:
            return {EVERY_KEY: value}
        return self._fields(node)

    def _parts(self, node: inspect.Type) -> Iterable[inspect.Type]:
        yield from self.alternatives(node)
        yield from self.types_of_items(node)
        yield from self.types_of_members(node).values()

    def _fields(self, node: inspect.Type) -> Mapping[str, inspect.Type]:
        if isinstance(node, inspect.CustomType):
            return self._model_fields(node.cls)
        return {field.encode_name: field.type for field in getattr(node, "fields", ())}

    def _model_fields(self, model: type) -> Mapping[str, inspect.Type]:
        """Return the types of the fields of a pydantic model; those that only pydantic knows are left out."""
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = {}
            for name, field in getattr(model, "model_fields", {}).items():
                with suppress(Exception):  # whatever reading a foreign annotation raises
                    node = inspect.type_info(field.annotation)
                    names = (name, field.alias, field.validation_alias)
                    found.update({each: node for each in names if isinstance(each, str)})
        return found


def annotation_of(node: inspect.Type) -> Any:
    """Return an annotation for a type that `msgspec.inspect` has described, without its constraints."""
    if isinstance(node, inspect.UnionType):
        return Union[tuple(annotation_of(part) for part in node.types)]  # noqa: UP007  # the parts are computed
    if isinstance(node, inspect.VarTupleType):
        return GenericAlias(tuple, (annotation_of(node.item_type), ...))
    if isinstance(node, inspect.TupleType):
        return GenericAlias(tuple, tuple(annotation_of(part) for part in node.item_types))
    if isinstance(node, inspect.FrozenSetType):
        return GenericAlias(frozenset, (annotation_of(node.item_type),))
    if isinstance(node, inspect.LiteralType):
        return Literal[tuple(node.values)]
    return SCALARS[type(node)] if type(node) in SCALARS else getattr(node, "cls", Any)


def _is_computable(node: inspect.Type) -> bool:
    if isinstance(node, inspect.UnionType):
        return any(_is_computable(part) for part in node.types)
    return not isinstance(node, NOT_COMPUTABLE)
