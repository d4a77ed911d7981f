"""The JSON codec by itself: what it writes, what it refuses, and in which words."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import msgspec
import pytest

from aioq.errors import SerializationError
from aioq.serialization.json_codec import JsonCodec


@dataclass
class Picky:
    """Refuses some values, each in another way."""

    x: int

    def __post_init__(self) -> None:
        if self.x == 1:
            raise ValueError("one is not allowed")
        if self.x == 2:
            raise KeyError("two")
        assert self.x != 3


def decoded(type: Any, data: bytes) -> Any:
    """Read some bytes as a type."""
    return JsonCodec().decoder(type)(data)


def test_codec_encodes_json() -> None:
    """Values are stored as plain JSON."""
    assert JsonCodec().encode({"a": [1, None, "ä"]}) == '{"a":[1,null,"ä"]}'.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (PurePosixPath("x"), "PurePosixPath has no JSON form"),
        ([1, {"a": PurePosixPath("x")}], "[1]['a']: PurePosixPath has no JSON form"),
        ((PurePosixPath("x"),), "[0]: PurePosixPath has no JSON form"),
        (Picky, "type has no JSON form"),
        ({(1, 2): 3}, "a dict key has no JSON form (no JSON form of tuple)"),
        ({"\ud800": 1}, "a dict key has no JSON form ("),
        ("\ud800", "the text is not valid Unicode ("),
        (float("nan"), "nan has no JSON form"),
        ({"a": float("inf")}, "['a']: inf has no JSON form"),
        (10**5000, "int has no JSON form ("),
    ],
    ids=["path", "nested", "tuple", "class", "key", "odd key", "odd text", "nan", "infinity", "huge"],
)
def test_codec_unsupported_value_names_path(value: Any, text: str) -> None:
    """The error begins with the path, if there is one."""
    with pytest.raises(SerializationError) as caught:
        JsonCodec().encode(value)
    assert str(caught.value).startswith(text)


def test_codec_recursive_value_names_part() -> None:
    """The error names the part of a recursive value."""
    loop: dict[str, Any] = {}
    loop["me"] = loop
    with pytest.raises(SerializationError, match=r"^\['me'\]: nested too deeply, or contains itself$"):
        JsonCodec().encode(loop)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'"\xff"', b"[1,]", b"nul", b"1e999", b"9" * 5000])
def test_codec_invalid_json_is_rejected(data: bytes) -> None:
    """Broken bytes raise a SerializationError."""
    with pytest.raises(SerializationError):
        decoded(Any, data)


def test_codec_deep_nesting_is_rejected() -> None:
    """A hundred thousand brackets are rejected with a text."""
    with pytest.raises(SerializationError, match="nested too deeply"):
        decoded(Any, b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_codec_accepts_64_levels(pair: str) -> None:
    """64 levels are accepted in both directions, and brackets in text do not count."""
    value: Any = "]}[{" * 100
    for _ in range(64):
        value = [value] if pair == "[]" else {"a]": value}
    assert decoded(Any, JsonCodec().encode(value)) == value
    with pytest.raises(SerializationError, match=r"^\[0\]: nested too deeply: at most 64 levels of"):
        JsonCodec().encode([value])
    with pytest.raises(SerializationError, match="^the data is nested too deeply: at most 64"):
        decoded(Any, b"[" + JsonCodec().encode(value) + b"]")
    wide: Any = [[{}]] * 1000
    assert decoded(Any, JsonCodec().encode(wide)) == wide


@pytest.mark.parametrize("text", [b'"\\"' * 300_000, b'"' * 1_000_001, b"\\" * 1_000_000, b'"' + b"\\" * 999_999])
def test_codec_depth_check_is_linear(text: bytes) -> None:
    """The check takes linear time, even if no string ends."""
    started = time.process_time()
    with pytest.raises(SerializationError):
        decoded(Any, b"[" * 65 + text)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("type", "data", "text"),
    [
        (int, b'"a"', ""),
        (dict[str, datetime], b'{"a":"x"}', "[...]: "),
        (list[Picky], b'[{"x":1}]', "[0]: one is not allowed"),
        (Picky, b'{"x":2}', "KeyError: 'two'"),
        (Picky, b'{"x":3}', "AssertionError: "),
        (Picky, b"{}", ""),
        (PurePosixPath, b'"x"', "cannot decode PurePosixPath from JSON"),
    ],
)
def test_codec_value_that_does_not_fit_names_path(type: Any, data: bytes, text: str) -> None:
    """Any exception of a type's own code becomes a SerializationError with the path."""
    with pytest.raises(SerializationError) as caught:
        decoded(type, data)
    said = str(caught.value)
    assert said.startswith(text)
    assert not said.endswith(": ")
    assert "$" not in said  # msgspec's own word for the place


def test_codec_error_has_no_cause() -> None:
    """The error does not contain msgspec's traceback."""
    with pytest.raises(SerializationError) as caught:
        decoded(int, b"null")
    assert "msgspec" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("type", [int | tuple[int] | list[str], "Missing", msgspec.defstruct("S", [("x", "Gone")])])
def test_codec_unsupported_type_is_rejected_early(type: Any) -> None:
    """An unsupported type is rejected when the decoder is made."""
    with pytest.raises(SerializationError, match="cannot be decoded from JSON"):
        JsonCodec().decoder(type)
