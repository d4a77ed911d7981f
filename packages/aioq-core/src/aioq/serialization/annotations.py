"""Reads the signature of a callable, and resolves those of its annotations that are needed."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

__all__ = ["module_names", "resolved", "signature_of"]


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a callable, with its annotations as they are written.

    It is that of the outermost decorator that sets `__signature__`, or else that of the decorated function.

    Raises:
        TypeError, ValueError: The callable has no signature.
    """
    if sys.version_info >= (3, 14):
        import annotationlib  # noqa: PLC0415  # older versions of Python do not have it

        # Otherwise Python would evaluate the annotations, and fail for names that only type checkers import.
        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def resolved(annotations: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """Return annotations of a callable with their texts evaluated in the module that defines it.

    Raises:
        Exception: Evaluating a text raised.
    """
    named = SimpleNamespace(__annotations__=dict(annotations), __type_params__=getattr(function, "__type_params__", ()))
    return typing.get_type_hints(named, globalns=module_names(function), include_extras=True)


def module_names(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the global names of the module that defines the innermost function of a callable."""
    inner: Any = function
    while not hasattr(inner, "__globals__") or hasattr(inner, "__wrapped__"):
        if hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        elif isinstance(inner, partial):
            inner = inner.func
        elif inspect.ismethod(inner):
            inner = inner.__func__
        elif inspect.isroutine(inner) or isinstance(inner, type):
            return {}
        else:
            inner = type(inner).__call__
    names: dict[str, Any] = inner.__globals__
    return names
