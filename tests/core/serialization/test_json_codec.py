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


def test_values_become_json() -> None:
    """Anybody can read what is stored."""
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
def test_what_has_no_json_form_is_named(value: Any, text: str) -> None:
    """The error begins with the path, if there is one."""
    with pytest.raises(SerializationError) as caught:
        JsonCodec().encode(value)
    assert str(caught.value).startswith(text)


def test_a_value_that_contains_itself() -> None:
    """The part of it is named, not the thousandth of its inner selves."""
    loop: dict[str, Any] = {}
    loop["me"] = loop
    with pytest.raises(SerializationError, match=r"^\['me'\]: nested too deeply, or contains itself$"):
        JsonCodec().encode(loop)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'"\xff"', b"[1,]", b"nul", b"1e999", b"9" * 5000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    """Broken bytes are a SerializationError, whatever is wrong with them."""
    with pytest.raises(SerializationError):
        decoded(Any, data)


def test_deep_nesting_exhausts_nothing() -> None:
    """A hundred thousand brackets are refused in words."""
    with pytest.raises(SerializationError, match="nested too deeply"):
        decoded(Any, b"[" * 100_000 + b"]" * 100_000)


@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_lists_and_dicts_may_be_64_deep(pair: str) -> None:
    """In either direction, whatever brackets the text in between has, and however many there are side by side."""
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
def test_no_text_takes_long_to_look_through(text: bytes) -> None:
    """The work grows as the data do, even where no string ends."""
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
def test_what_does_not_fit_is_refused(type: Any, data: bytes, text: str) -> None:
    """Whatever a type's own code raises, the error is ours, with the path first."""
    with pytest.raises(SerializationError) as caught:
        decoded(type, data)
    said = str(caught.value)
    assert said.startswith(text)
    assert not said.endswith(": ")
    assert "$" not in said  # msgspec's own word for the place


def test_errors_do_not_show_the_codecs_inside() -> None:
    """A refused value is the caller's business; msgspec's traceback is not."""
    with pytest.raises(SerializationError) as caught:
        decoded(int, b"null")
    assert "msgspec" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("type", [int | tuple[int] | list[str], "Missing", msgspec.defstruct("S", [("x", "Gone")])])
def test_types_without_a_form_are_refused(type: Any) -> None:
    """At the time the decoder is made, not with the first job."""
    with pytest.raises(SerializationError, match="cannot be decoded from JSON"):
        JsonCodec().decoder(type)
