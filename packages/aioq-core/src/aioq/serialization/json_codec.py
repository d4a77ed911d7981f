"""Values to bytes and back: JSON, by msgspec, with types restored from annotations.

Whatever msgspec knows makes the trip: the JSON types, datetime, date, time, timedelta,
UUID, Decimal, Enum, bytes, set, tuple, dataclasses, TypedDict, NamedTuple, attrs classes,
msgspec.Struct, and pydantic models where pydantic is installed. Nothing is ever pickled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import msgspec

from aioq.errors import SerializationError
from aioq.serialization.fidelity import field_names, is_mapping

__all__ = ["JsonCodec"]

MAX_DEPTH = 64
"""Lists and dicts that may stand in each other. Whoever reads the data, in whatever language, can."""

TOO_DEEP = f"nested too deeply: at most {MAX_DEPTH} lists and dicts may stand in each other"

# A string that does not end goes to the end: nothing is ever looked at twice.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[][{}]', re.DOTALL)
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)


class JsonCodec:
    """The default codec."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder(enc_hook=_to_plain)

    def encode(self, value: object) -> bytes:
        """Return `value` as JSON.

        Raises:
            SerializationError: Some part of it has no JSON form; names the path to it.
        """
        try:
            data = self._encoder.encode(value)
            infinite = _infinite(value) if b"null" in data else None
        except RecursionError:
            part = next((step.lstrip(".") for step, part in _parts(value) if not self._encodes(part)), "the value")
            raise SerializationError(f"{part}: nested too deeply, or contains itself") from None
        except Exception as error:  # besides the encoder's own: what a property or a model raises as it is read
            path, offender = self._offender(value)
            refusal = _refusal(offender, error)
            raise SerializationError(f"{path}: {refusal}" if path else refusal) from None
        if infinite:
            raise SerializationError(infinite)
        if _too_deep(data):
            raise SerializationError(f"{self._deep_part(value)}: {TOO_DEEP}")
        return data

    def decoder(self, type: Any) -> Callable[[bytes], Any]:
        """Return a function from JSON to a value of `type`.

        The function raises `SerializationError` when the bytes are not JSON or do not fit.

        Raises:
            SerializationError: No value of `type` can be read from JSON.
        """
        try:
            decode = msgspec.json.Decoder(type, dec_hook=_from_plain).decode
        except Exception as error:  # besides a TypeError: a NameError from the annotations of a class
            raise SerializationError(f"{type!r} cannot be read from JSON: {error}") from None

        def checked(data: bytes) -> Any:
            if _too_deep(data):
                raise SerializationError(f"the data is {TOO_DEEP}")
            try:
                return decode(data)
            except RecursionError:
                raise SerializationError(f"the data is {TOO_DEEP}") from None
            except Exception as error:  # besides the decoder's own: what a __post_init__ or a model raises
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


def _too_deep(data: bytes, most: int = MAX_DEPTH) -> bool:
    """Whether JSON is nested deeper than that; looks closely only where it might be."""
    if data.count(b"[") + data.count(b"{") <= most:
        return False
    depth = 0
    for token in _TOKEN.finditer(data):
        mark = data[token.start()]
        depth += 1 if mark in b"[{" else -1 if mark in b"]}" else 0
        if depth > most:
            return True
    return False


def _infinite(value: object, path: str = "") -> str | None:
    """Return where a float stands that JSON has no number for; the encoder makes it null."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path.lstrip('.')}: {value} has no JSON form".lstrip(": ")
    return next((found for step, part in _parts(value) if (found := _infinite(part, path + step))), None)


def _to_plain(value: object) -> object:
    """Give msgspec a form of a value that it does not know: today, of a pydantic model."""
    dump = getattr(value, "model_dump", None)
    if dump is None or isinstance(value, type):
        raise TypeError(f"no JSON form of {type(value).__name__}")
    plain: object = dump(mode="json", by_alias=True, round_trip=True)
    return plain


def _from_plain(type: Any, plain: object) -> object:
    """Build a value that msgspec does not know from its JSON form."""
    if type is object:
        return plain
    validate = getattr(type, "model_validate", None)
    if validate is None:
        raise TypeError(f"no way to make {getattr(type, '__name__', type)} from JSON")
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
    """Put msgspec's message path first: `when: expected ...`, not `... - at $.when`."""
    if not isinstance(error, ValueError | TypeError):
        return f"{type(error).__name__}: {error}"
    found = _AT.match(str(error))
    what, path = (found["what"], found["path"]) if found else (str(error), None)
    what = what.replace("`", "'")
    if what[1:2].islower():
        what = what[0].lower() + what[1:]
    return f"{path.removeprefix('$').lstrip('.')}: {what}" if path and path != "$" else what
