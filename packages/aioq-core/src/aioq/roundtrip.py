"""What a value would lose on its way through a codec."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass

from msgspec import Struct

__all__ = ["first_loss"]


def first_loss(sent: object, arrived: object, path: str = "") -> str | None:
    """Return what the first lost part is, with its path; None when everything arrived.

    Tuples may arrive as lists and integers as floats of the same value: both are what an
    unannotated parameter gets. Other changes of type, and NaN and infinity, are losses.
    """
    if isinstance(sent, float) and not math.isfinite(sent):
        return f"{path}: {sent} has no JSON form"
    if type(sent) is type(arrived) or (type(sent) is tuple and type(arrived) is list):
        return _first((f"{path}[{n}]", a, b) for n, (a, b) in enumerate(zip(sent, arrived, strict=False)))
    if isinstance(sent, Mapping) and isinstance(arrived, Mapping):
        if sent.keys() != arrived.keys():
            return f"{path}: keys that are not text need an annotation such as dict[int, str]"
        return _first((f"{path}[{key!r}]", sent[key], arrived[key]) for key in sent)
    if type(sent) is type(arrived):
        return _first(
            (f"{path}.{name}".lstrip("."), getattr(sent, name), getattr(arrived, name)) for name in _names(sent)
        )
    if isinstance(sent, int | float) and isinstance(arrived, int | float) and sent == arrived:
        return None
    return (
        f"{path}: {type(sent).__name__} would arrive as {type(arrived).__name__}; "
        f"annotate the parameter with the type it is to have"
    )


def _first(parts: Iterable[tuple[str, object, object]]) -> str | None:
    return next((loss for path, a, b in parts if (loss := first_loss(a, b, path))), None)


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, Struct):
        return value.__struct_fields__
    if is_dataclass(value):
        return tuple(field.name for field in fields(value))
    return ()
