"""Compares a value with its decoded copy, to find what the codec would lose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import TypeGuard

from msgspec import Struct

__all__ = ["field_names", "first_loss", "is_mapping"]


def first_loss(sent: object, arrived: object, path: str = "") -> str | None:
    """Return a message about the first part that was lost, with its path; None if nothing was.

    A tuple may arrive as a list, and an integer as a float of the same value: an unannotated parameter
    receives them so. Every other change of type is a loss.
    """
    if _is_sequence(sent) and _is_sequence(arrived) and not _is_other_record(sent, arrived):
        return _first((f"{path}[{n}]", a, b) for n, (a, b) in enumerate(zip(sent, arrived, strict=False)))
    if is_mapping(sent) and is_mapping(arrived):
        return _missing_key(sent, arrived, path) or _first(
            (f"{path}[{key!r}]", sent[key], arrived[key]) for key in sent
        )
    # JSON has one kind of number: 5.0 may arrive as 5.
    if isinstance(sent, int | float) and isinstance(arrived, int | float) and sent == arrived:
        return None
    if type(sent) is not type(arrived):
        return (
            f"{path}: {type(sent).__name__} would arrive as {type(arrived).__name__}; "
            f"annotate the parameter with the type that you pass"
        )
    if names := field_names(sent):
        return _first((f"{path}.{name}".lstrip("."), getattr(sent, name), getattr(arrived, name)) for name in names)
    return f"{path}: its value would change" if _differ(sent, arrived) else None


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Return whether a value is a mapping, of any types."""
    return isinstance(value, Mapping)


def field_names(value: object) -> tuple[str, ...]:
    """Return the field names of a Struct, a dataclass instance or a pydantic model; empty for other values."""
    if isinstance(value, Struct):
        return value.__struct_fields__
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(field.name for field in fields(value))
    # Asked of the class, as pydantic deprecates it on instances.
    return tuple(getattr(type(value), "model_fields", ()))


def _is_sequence(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _first(parts: Iterable[tuple[str, object, object]]) -> str | None:
    return next((loss for path, a, b in parts if (loss := first_loss(a, b, path))), None)


def _is_other_record(sent: object, arrived: object) -> bool:
    """Return whether a NamedTuple arrived as a sequence without field names."""
    return hasattr(sent, "_fields") and type(sent) is not type(arrived)


def _missing_key(sent: Mapping[object, object], arrived: Mapping[object, object], path: str) -> str | None:
    missing = sent.keys() - arrived.keys()
    if not missing:
        return None
    if all(isinstance(key, str) for key in missing):
        return f"{path}: the annotated type has no key {min(map(repr, missing))}"
    return f"{path}: keys that are not text need an annotation such as dict[int, str]"


def _differ(sent: object, arrived: object) -> bool:
    """Return whether two values of one type differ. Types without `__eq__`, and NaN, count as equal.

    Datetimes are compared in UTC, because a datetime in a repeated hour equals none of another zone.
    """
    if isinstance(sent, datetime) and isinstance(arrived, datetime) and sent.tzinfo and arrived.tzinfo:
        return sent.astimezone(UTC) != arrived.astimezone(UTC)
    return type(sent).__eq__ is not object.__eq__ and sent == sent and sent != arrived
