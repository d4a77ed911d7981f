"""Binds, checks, encodes and decodes the arguments of a task.

The parameters of a function become the fields of a msgspec struct: its constructor binds a call, and its
decoder gives every argument the type of its annotation. Arguments that the caller leaves out are not
encoded, so that the worker's defaults apply.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from aioq.errors import SerializationError, TaskDefinitionError
from aioq.serialization.annotations import resolved, signature_of
from aioq.serialization.codec import Codec
from aioq.serialization.fidelity import first_loss
from aioq.serialization.hash_flooding import HashFlood
from aioq.serialization.mismatch import CallFitter

__all__ = ["CallSignature"]

_P = inspect.Parameter
_VARIADIC = (_P.VAR_POSITIONAL, _P.VAR_KEYWORD)
_NAMED = (_P.POSITIONAL_OR_KEYWORD, _P.KEYWORD_ONLY)


class CallSignature:
    """Encodes and decodes the calls of one function.

    Args:
        function: The function of a task; its first parameter is the context, which is not encoded.
        codec: Converts the arguments to bytes and back.
        name: The name of the task, for error messages.
        keeps_result: Whether results are decoded; if not, the return annotation may be anything.

    Raises:
        TaskDefinitionError: An annotation cannot be resolved, or the codec does not support its type.
    """

    def __init__(self, function: Callable[..., Any], codec: Codec, name: str, *, keeps_result: bool = True) -> None:
        self._name = name
        self._codec = codec
        self._wrapped = hasattr(function, "__wrapped__") and not hasattr(function, "__signature__")
        signature = signature_of(function)
        self._parameters = list(signature.parameters.values())[1:]
        returns = signature.return_annotation if keeps_result else signature.empty
        hints = self._hints(function, returns)
        self._signature = inspect.Signature(
            [p.replace(annotation=hints.get(p.name, p.empty)) for p in self._parameters]
        )
        self._variadic = any(p.kind in _VARIADIC for p in self._parameters)
        self._by_position = all(p.kind in (_P.POSITIONAL_ONLY, _P.POSITIONAL_OR_KEYWORD) for p in self._parameters)
        self._positional_only = any(p.kind is _P.POSITIONAL_ONLY for p in self._parameters)
        self._rest = next((p.name for p in self._parameters if p.kind is _P.VAR_KEYWORD), "")
        self._by_name = frozenset(p.name for p in self._parameters if p.kind in _NAMED)
        try:
            self._struct = _struct(self._parameters, hints)
            self._decode = codec.decoder(self._struct)
            self._decode_result = codec.decoder(hints.get("return", Any))
        except (SerializationError, RuntimeError) as error:  # msgspec has no fields named __x
            problem = _unsupported(codec, hints) or error
            raise TaskDefinitionError(f"task {name}: {problem}{self._advice('it')}") from None

    @property
    def parameters(self) -> Sequence[inspect.Parameter]:
        """The parameters without the context, with resolved annotations."""
        return tuple(self._signature.parameters.values())

    def encode(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> bytes:
        """Return the payload of a call.

        Raises:
            TypeError: The function does not take these arguments.
            SerializationError: An argument does not fit its annotation, or would be changed by
                encoding and decoding it; the message has the path to it.
        """
        call = self._bind(args, kwargs)
        try:
            payload = self._codec.encode(call)
            # Decoded at once: a mistake shows at the caller's line, and not hours later in a worker.
            arrived = self._decode(payload)
            # The comparison is the usual case and cheap; the search for the loss runs only if it fails.
            loss = first_loss(call, arrived) if arrived != call else None
        except SerializationError as error:
            raise SerializationError(f"{self._name}: argument {error}") from None
        except RecursionError:
            raise SerializationError(f"{self._name}: an argument is nested too deeply") from None
        if loss:
            raise SerializationError(f"{self._name}: argument {loss}")
        return payload

    def decode(self, payload: bytes) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and keyword arguments of a payload, each of its annotated type.

        Raises:
            ArgumentMismatch: The payload is a call of another release of the function, and does not fit this one.
            SerializationError: The payload is not a call.
        """
        try:
            call = self._decode(payload)
        except HashFlood:
            raise
        except SerializationError:
            call = self._fitter.fit(payload)
        if not self._by_position:
            # A parameter that a release has added takes its argument from the `**kwargs` of an older client.
            if self._rest and not self._by_name.isdisjoint(getattr(call, self._rest) or ()):
                call = self._fitter.fit(payload)
            return self._unpack(call)
        values: list[Any] = list(msgspec.structs.astuple(call))
        for value in values:  # not `in`, which calls the __eq__ of the values
            if value is UNSET:
                return self._unpack(call)
        return values, {}

    @cached_property
    def _fitter(self) -> CallFitter:
        return CallFitter(self._codec, self._struct, by_name=self._by_name, rest=self._rest)

    def decode_result(self, data: bytes) -> Any:
        """Return a result as the type of the function's return annotation.

        Raises:
            SerializationError: The data does not fit the annotation.
        """
        return self._decode_result(data)

    def _bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Struct:
        try:
            # The constructor of the struct is fast, but knows neither `*args` nor positional-only parameters.
            if not self._variadic and not self._positional_only:
                return self._struct(*args, **kwargs)
            return self._struct(**self._signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            missing = self._missing(len(args), kwargs)
            problem = f"{str(error)[:1].lower()}{str(error)[1:]}{self._advice(missing) if missing else ''}"
            raise TypeError(f"{self._name}{self._signature}: {problem}") from None

    def _missing(self, given: int, kwargs: Mapping[str, object]) -> str:
        """Return the name of the first parameter that a call leaves out although it needs one; empty without one."""
        required = [p.name for p in self._parameters[given:] if p.default is _P.empty and p.kind not in _VARIADIC]
        return next((name for name in required if name not in kwargs), "")

    def _advice(self, parameter: str) -> str:
        """Return what to do if a decorator passes the parameter; empty if no decorator can."""
        if not self._wrapped:
            return ""
        return f"; if a decorator passes {parameter}, let it set __signature__ on its wrapper, without that parameter"

    def _hints(self, function: Callable[..., Any], returns: Any) -> dict[str, Any]:
        """Return the annotations that are needed, resolved. That of the context is not: it never travels."""
        annotations = {p.name: p.annotation for p in self._parameters} | {"return": returns}
        try:
            return resolved({name: a for name, a in annotations.items() if a is not _P.empty}, function)
        except Exception as error:
            raise TaskDefinitionError(
                f"task {self._name}: an annotation cannot be resolved ({error}); "
                f"import the type at the top of the module, outside TYPE_CHECKING{self._advice('it')}"
            ) from error

    def _unpack(self, call: Struct) -> tuple[list[Any], dict[str, Any]]:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter in self._parameters:
            value = getattr(call, parameter.name)
            if value is UNSET:
                continue
            if parameter.kind is _P.VAR_POSITIONAL:
                args.extend(value)
            elif parameter.kind is _P.VAR_KEYWORD:
                kwargs.update(value)
            # Behind an argument that was left out the others can only be passed by name.
            elif parameter.kind is _P.KEYWORD_ONLY or len(args) < self._parameters.index(parameter):
                kwargs[parameter.name] = value
            else:
                args.append(value)
        return args, kwargs


def _unsupported(codec: Codec, hints: dict[str, Any]) -> str | None:
    """Return a message about the annotation that the codec does not support."""
    for name, hint in hints.items():
        try:
            codec.decoder(hint)
        except SerializationError as error:
            return f"{'the return value' if name == 'return' else f'parameter {name}'}: {error}"
    return None


def _struct(parameters: list[inspect.Parameter], hints: dict[str, Any]) -> type[Struct]:
    """Return a struct class with one field for each parameter."""
    keyword = [_field(p, hints) for p in parameters if p.kind is _P.KEYWORD_ONLY]
    positional = [_field(p, hints) for p in parameters if p.kind is not _P.KEYWORD_ONLY]
    # Two classes, because `kw_only` of msgspec applies to all fields of a class.
    base = msgspec.defstruct("Keywords", keyword, kw_only=True, forbid_unknown_fields=True)
    return msgspec.defstruct("Arguments", positional, bases=(base,), forbid_unknown_fields=True)


def _field(parameter: inspect.Parameter, hints: dict[str, Any]) -> tuple[str, Any] | tuple[str, Any, Any]:
    hint: Any = hints.get(parameter.name, Any)
    if parameter.kind is _P.VAR_POSITIONAL:
        hint = types.GenericAlias(list, (hint,))
    elif parameter.kind is _P.VAR_KEYWORD:
        hint = types.GenericAlias(dict, (str, hint))
    elif parameter.default is _P.empty:
        return parameter.name, hint
    # Not the function's default: a later release may change it, and jobs in the queue then use the new one.
    return parameter.name, hint, UNSET
