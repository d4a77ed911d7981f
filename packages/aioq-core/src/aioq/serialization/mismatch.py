"""Fits the arguments of a job to a task whose parameters differ from those of the release that enqueued it.

Only calls that do not fit as they are come here, so it may take its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import msgspec
from msgspec import Raw, Struct

from aioq.errors import SerializationError
from aioq.serialization.codec import Codec

__all__ = ["ArgumentMismatch", "CallFitter"]


class ArgumentMismatch(SerializationError):
    """The arguments of a job are those of another release of its task; the message names the parameter."""


class CallFitter:
    """Decodes calls of other releases of a task.

    Args:
        codec: Converts arguments to bytes and back. It fits calls if it can decode to `dict[str, msgspec.Raw]`.
        struct: The class whose fields are the parameters of the task.
        by_name: The parameters that can be passed by name.
        rest: The name of the parameter `**kwargs`; empty without one.
    """

    def __init__(self, codec: Codec, struct: type[Struct], *, by_name: frozenset[str], rest: str) -> None:
        self._codec = codec
        self._decode = codec.decoder(struct)
        self._split: Callable[[bytes], dict[str, Raw]] = codec.decoder(dict[str, Raw])
        self._fields = {field.name: field for field in msgspec.structs.fields(struct)}
        self._by_name = by_name
        self._rest = rest

    def fit(self, payload: bytes) -> Any:
        """Return a call as the struct: `**kwargs` takes arguments that have no parameter, and gives those that have.

        Raises:
            ArgumentMismatch: An argument is missing, has no parameter, or does not fit its annotation.
            SerializationError: The payload is not a call of any task.
        """
        given: dict[str, Any] = dict(self._split(payload))
        if self._rest:
            given = self._rearranged(given)
        try:
            return self._decode(self._codec.encode(given))
        except SerializationError as error:
            self._codec.decoder(Any)(payload)  # damaged data are of no release
            raise ArgumentMismatch(self._problem(given) or str(error)) from None

    def _rearranged(self, given: dict[str, Any]) -> dict[str, Any]:
        others: dict[str, Any] = {}
        if self._rest in given:
            rest = given.pop(self._rest)
            try:
                others = dict(self._split(bytes(rest)))
            except SerializationError:  # not of a `**kwargs`, but of a parameter with the same name
                others = {self._rest: rest}
        named = {name: value for name, value in given.items() if name in self._fields}
        named |= {name: value for name, value in others.items() if name in self._by_name and name not in named}
        over = {name: value for name, value in {**others, **given}.items() if name not in named}
        return {**named, self._rest: over} if over else named

    def _problem(self, given: dict[str, Any]) -> str:
        """Return which argument does not fit; empty if each fits for itself."""
        for name in given:
            if name not in self._fields:
                return f"the job has an argument {name!r}, and the task of this worker has no such parameter"
        for field in self._fields.values():
            if field.required and field.name not in given:
                return f"the job has no argument {field.name!r}, and the parameter of this worker's task has no default"
        for name, value, annotation in self._annotated(given):
            try:
                self._codec.decoder(annotation)(self._codec.encode(value))
            except SerializationError as error:
                return f"the argument {name!r} does not fit the annotation of this worker's task: {error}"
        return ""

    def _annotated(self, given: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        for name, value in given.items():
            annotation = self._fields[name].type
            if name == self._rest:
                yield from ((other, part, get_args(annotation)[1]) for other, part in value.items())
            else:
                yield name, value, annotation
