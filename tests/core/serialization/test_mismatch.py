"""Calls of another release of a task: arguments that were added, removed, or have another type."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from aioq import SerializationError
from aioq.serialization.arguments import CallSignature
from aioq.serialization.json_codec import JsonCodec
from aioq.serialization.mismatch import ArgumentMismatch

Function = Callable[..., Any]


def received(client: Function, worker: Function, *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """Send a call of one release to another, and return how the worker calls its function."""
    payload = CallSignature(client, JsonCodec(), "f").encode(args, kwargs)
    return CallSignature(worker, JsonCodec(), "f").decode(payload)


async def one(ctx: object, a: int) -> None:
    """Take one argument."""


async def with_default(ctx: object, a: int, b: str = "new") -> None:
    """Take another argument, with a default."""


async def without_default(ctx: object, a: int, b: str) -> None:
    """Take another argument, without a default."""


async def retyped(ctx: object, a: datetime) -> None:
    """Take an argument of another type."""


async def open_ended(ctx: object, a: int, **kwargs: Any) -> None:
    """Take what is over."""


async def open_with_moment(ctx: object, a: int, when: datetime | None = None, **kwargs: Any) -> None:
    """Take what is over, and a moment."""


async def open_numbers(ctx: object, a: int, **kwargs: int) -> None:
    """Take numbers that are over."""


async def named_like_the_rest(ctx: object, a: int, kwargs: list[int]) -> None:
    """Have a parameter with the name that another release uses for what is over."""


async def positional(ctx: object, a: int, /, **kwargs: Any) -> None:
    """Take an argument by position only, and what is over."""


def test_mismatch_parameter_with_default_needs_no_argument() -> None:
    """A job of an older client runs if the parameter that was added has a default."""
    assert received(one, with_default, 1) == ([1], {})


def test_mismatch_rest_takes_what_is_over() -> None:
    """An argument without a parameter goes to `**kwargs`, as it is."""
    assert received(with_default, open_ended, 1, b="x") == ([1], {"b": "x"})
    assert received(without_default, open_ended, 2**70, "x") == ([2**70], {"b": "x"})
    assert received(open_with_moment, open_ended, 1, None, c=None) == ([1], {"when": None, "c": None})


def test_mismatch_rest_gives_to_new_parameter() -> None:
    """An argument that an older client passed in `**kwargs` arrives in the new parameter, with its type."""
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert received(open_ended, open_with_moment, 1, when=moment.isoformat(), c=3) == ([1, moment], {"c": 3})


def test_mismatch_parameter_named_like_the_rest_is_not_lost() -> None:
    """A parameter of another release that is named like `**kwargs` arrives in it."""
    assert received(named_like_the_rest, open_ended, 1, [2]) == ([1], {"kwargs": [2]})


def test_mismatch_rest_may_have_the_name_of_a_positional_parameter() -> None:
    """An argument in `**kwargs` that has the name of a positional-only parameter stays there."""
    assert received(positional, positional, 1, a=2) == ([1], {"a": 2})


@pytest.mark.parametrize(
    ("client", "worker", "args", "text"),
    [
        (with_default, one, (1, "x"), "the job has an argument 'b', and the task of this worker has no such parameter"),
        (one, without_default, (1,), "the job has no argument 'b', and the parameter of this worker's task has no "),
        (one, retyped, (1,), "the argument 'a' does not fit the annotation of this worker's task: expected "),
        (with_default, open_numbers, (1, "x"), "the argument 'b' does not fit the annotation of this worker's task: "),
        (open_ended, one, (1,), ""),
    ],
    ids=["removed", "added", "type", "type of the rest", "nothing over"],
)
def test_mismatch_names_the_parameter(client: Function, worker: Function, args: tuple[Any, ...], text: str) -> None:
    """What does not fit is named; `**kwargs` without arguments needs no parameter."""
    if not text:
        assert received(client, worker, *args) == (list(args), {})
        return
    with pytest.raises(ArgumentMismatch) as caught:
        received(client, worker, *args)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("payload", [b"[1]", b"null", b"{", b"", b"\xff", b'"a"'])
@pytest.mark.parametrize("worker", [one, open_ended], ids=["closed", "open"])
def test_mismatch_is_a_call(worker: Function, payload: bytes) -> None:
    """A payload that is no call at all is not of another release."""
    with pytest.raises(SerializationError) as caught:
        CallSignature(worker, JsonCodec(), "f").decode(payload)
    assert not isinstance(caught.value, ArgumentMismatch)


def test_mismatch_codec_that_cannot_split_calls_refuses_them() -> None:
    """With a codec that cannot decode raw parts, a call that does not fit is refused as before."""

    class Closed(JsonCodec):
        def decoder(self, type: Any) -> Callable[[bytes], Any]:
            if type == dict[str, msgspec.Raw]:
                raise SerializationError("no raw parts")
            return super().decoder(type)

    with pytest.raises(SerializationError) as caught:
        CallSignature(one, Closed(), "f").decode(b'{"a":1,"b":2}')
    assert not isinstance(caught.value, ArgumentMismatch)
