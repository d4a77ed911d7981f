"""Encodes values as JSON with msgspec, and restores their types from annotations.

It supports the types of msgspec: the JSON types, datetime, date, time, timedelta, UUID, Decimal, Enum,
bytes, set, tuple, dataclasses, TypedDict, NamedTuple, attrs classes and msgspec.Struct; and pydantic
models if pydantic is installed. Nothing is pickled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import msgspec

from aioq.errors import SerializationError
from aioq.serialization.fidelity import field_names, is_mapping
from aioq.serialization.hash_flooding import SMALL, FloodGuard, HashFlood

__all__ = ["JsonCodec"]

MAX_DEPTH = 64
"""Levels of nested lists and dicts: few enough for the JSON parsers of all languages."""

TOO_DEEP = f"nested too deeply: at most {MAX_DEPTH} levels of lists and dicts are allowed"

# An unterminated string matches to the end of the data, so that the search is linear.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[][{}]', re.DOTALL)
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)


class JsonCodec:
    """The default codec: JSON."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder(enc_hook=_to_plain)

    def encode(self, value: object) -> bytes:
        """Return `value` as JSON.

        Raises:
            SerializationError: A part of it has no JSON form; the message has the path to it.
        """
        try:
            data = self._encoder.encode(value)
            # Most data have no null, and need no search.
            infinite = _infinite(value) if b"null" in data else None
        except RecursionError:
            part = next((step.lstrip(".") for step, part in _parts(value) if not self._encodes(part)), "the value")
            raise SerializationError(f"{part}: nested too deeply, or contains itself") from None
        except Exception as error:  # also exceptions of properties and models as they are read
            path, offender = self._offender(value)
            refusal = _refusal(offender, error)
            raise SerializationError(f"{path}: {refusal}" if path else refusal) from None
        if infinite:
            raise SerializationError(infinite)
        if _too_deep(data):
            raise SerializationError(f"{self._deep_part(value)}: {TOO_DEEP}")
        return data

    def decoder(self, type: Any) -> Callable[[bytes], Any]:
        """Return a function that decodes JSON to a value of `type`.

        The function raises `SerializationError` if the bytes are not JSON or do not fit the type.

        Raises:
            SerializationError: `type` cannot be decoded from JSON.
        """
        try:
            decode = msgspec.json.Decoder(type, dec_hook=_from_plain).decode
        except Exception as error:  # also a NameError from the annotations of a class
            raise SerializationError(f"{type!r} cannot be decoded from JSON: {error}") from None
        guard = FloodGuard(type, _from_plain)

        def checked(data: bytes) -> Any:
            if _too_deep(data):
                raise SerializationError(f"the data is {TOO_DEEP}")
            try:
                return decode(guard.checked(data) if len(data) > SMALL else data)
            except HashFlood:
                raise
            except RecursionError:
                raise SerializationError(f"the data is {TOO_DEEP}") from None
            except Exception as error:  # also exceptions of a __post_init__ or a model
                raise SerializationError(_explain(error)) from None

        return checked

    def _offender(self, value: object, path: str = "", depth: int = 0) -> tuple[str, object]:
        for step, part in _parts(value) if depth < 64 else ():
            if not self._encodes(part):
                return self._offender(part, f"{path}{step}".lstrip("."), depth + 1)
        return path, value

    def _deep_part(self, value: object) -> str:
        parts = ((step.lstrip("."), part) for step, part in _parts(value))
        return next((step for step, part in parts if _too_deep(self._encoder.encode(part), MAX_DEPTH - 1)), "the value")

    def _encodes(self, value: object) -> bool:
        try:
            self._encoder.encode(value)
        except Exception:
            return False
        return True


def _too_deep(data: bytes, limit: int = MAX_DEPTH) -> bool:
    """Return whether JSON has more than `limit` levels. Scans it only if it has that many brackets."""
    # Counting takes a fraction of a parse, and nearly all payloads end here.
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    depth = 0
    for token in _TOKEN.finditer(data):
        first = data[token.start()]
        depth += 1 if first in b"[{" else -1 if first in b"]}" else 0
        if depth > limit:
            return True
    return False


def _infinite(value: object, path: str = "") -> str | None:
    """Return a message with the path of a float that JSON cannot represent; the encoder writes it as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path.lstrip('.')}: {value} has no JSON form".lstrip(": ")
    return next((found for step, part in _parts(value) if (found := _infinite(part, path + step))), None)


def _to_plain(value: object) -> object:
    """Convert a value that msgspec does not support: a pydantic model."""
    # By its methods: importing pydantic would make it a dependency.
    dump = getattr(value, "model_dump", None)
    if dump is None or isinstance(value, type):
        raise TypeError(f"no JSON form of {type(value).__name__}")
    plain: object = dump(mode="json", by_alias=True, round_trip=True)
    return plain


def _from_plain(type: Any, plain: object) -> object:
    """Build a value that msgspec does not support from its JSON form."""
    if type is object:
        return plain
    validate = getattr(type, "model_validate", None)
    if validate is None:
        raise TypeError(f"cannot decode {getattr(type, '__name__', type)} from JSON")
    value: object = validate(plain)
    return value


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if is_mapping(value):
        for key, part in value.items():
            yield f"[{key!r}]", part
    elif isinstance(value, list | tuple | set | frozenset):
        for index, part in enumerate(cast("Iterable[object]", value)):
            yield f"[{index}]", part
    else:
        for name in field_names(value):
            yield f".{name}", getattr(value, name)


def _refusal(offender: object, error: Exception) -> str:
    if isinstance(offender, dict):
        return f"a dict key has no JSON form ({error})"
    if isinstance(offender, str):
        return f"the text is not valid Unicode ({error})"
    why = "" if isinstance(error, TypeError) else f" ({type(error).__name__}: {error})"
    return f"{type(offender).__name__} has no JSON form{why}"


def _explain(error: Exception) -> str:
    """Return msgspec's message with the path first: `when: expected ...` instead of `... - at $.when`."""
    if not isinstance(error, ValueError | TypeError):
        return f"{type(error).__name__}: {error}"
    found = _AT.match(str(error))
    what, path = (found["what"], found["path"]) if found else (str(error), None)
    what = what.replace("`", "'")
    if what[1:2].islower():
        what = what[0].lower() + what[1:]
    return f"{path.removeprefix('$').lstrip('.')}: {what}" if path and path != "$" else what
