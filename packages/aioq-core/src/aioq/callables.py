"""Inspects functions: their names, the modules that define them, and whether they can be tasks."""

from __future__ import annotations

import builtins
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import FrameType, FunctionType, UnionType
from typing import Any, Union, get_args, get_origin

from aioq.errors import TaskDefinitionError
from aioq.serialization.annotations import module_names, signature_of

__all__ = [
    "calling_line",
    "calling_module",
    "check_context_parameter",
    "imported_as",
    "is_async",
    "is_generator",
    "name_of",
    "own_name",
    "package_of",
    "where",
]


def name_of(function: Callable[..., Any]) -> str:
    """Return `module.function`, the same in every process.

    For a function of a script that runs as `__main__`, the module is the name under which a worker
    imports the script.
    """
    # Without `<locals>` and the brackets of `<lambda>`, which names may not contain.
    named = _named(function)
    return f"{imported_as(named.__module__)}.{re.sub('[<>]', '', named.__qualname__.replace('<locals>.', ''))}"


def own_name(function: Callable[..., Any], example: str) -> str:
    """Return `module.function`, for what has a name of its own; a partial and an object with `__call__` have none.

    Args:
        example: How to give it one, for the message.

    Raises:
        TaskDefinitionError: The callable has no name.
    """
    if not hasattr(function, "__qualname__"):
        whole = name_of(function)
        kind = "a partial" if isinstance(function, partial) else "an object"
        raise TaskDefinitionError(f"{kind} of {whole} has no name of its own; name it, as in {example}")
    return name_of(function)


def package_of(function: Callable[..., Any]) -> str:
    """Return the top-level package of a function."""
    return str(_named(function).__module__).partition(".")[0]


def where(function: Callable[..., Any]) -> str:
    """Return the file and line of a function, for messages."""
    # The function that the user wrote, and not the wrapper of a decorator.
    code = getattr(inspect.unwrap(_named(function)), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def _named(function: Callable[..., Any]) -> Any:
    """Return the object that has the callable's name: the function of a partial, or the class of an instance."""
    while isinstance(function, partial):
        function = function.func
    return function if hasattr(function, "__qualname__") else type(function)


def calling_module() -> str:
    """Return the name of the module that called into aioq, as a worker imports it.

    Characters that are not allowed in names are replaced by `_`.
    """
    frame = _caller()
    module = imported_as(frame.f_globals.get("__name__", "__main__")) if frame else "__main__"
    return re.sub(r"[^A-Za-z0-9_.:-]", "_", module)[:200]


def calling_line() -> str:
    """Return the file and line of the call into aioq."""
    frame = _caller()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"


def imported_as(module: str) -> str:
    """Return the name under which a worker imports a module; it differs for a script that runs as `__main__`."""
    if module not in ("__main__", "__mp_main__"):
        return module
    main = sys.modules[module]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    # The program was started with `python -m`, and its spec has the name.
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    return Path(file).stem if file is not None and file.endswith(".py") else module


def _caller() -> FrameType | None:
    frame = inspect.currentframe()
    # With a dot at the end, so that `aioq` counts and `aioq_redis` does not.
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith("aioq."):
        frame = frame.f_back
    return frame


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether the function is an `async def`, or an object whose `__call__` is one."""
    return any(inspect.iscoroutinefunction(called) for called in _called(function))


def is_generator(function: Callable[..., Any]) -> bool:
    """Return whether the function is a generator, whose call runs none of its code."""
    return any(inspect.isasyncgenfunction(each) or inspect.isgeneratorfunction(each) for each in _called(function))


def _called(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the callable that a partial calls, and its `__call__`: for an object, that is what runs."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, FunctionType):
        return (function,)
    return function, getattr(type(function), "__call__", None)  # noqa: B004  # it is asked what it is, not whether


def check_context_parameter(function: Callable[..., Any], context: str, decorator: str) -> inspect.Signature:
    """Return the signature of a function whose first parameter may be the context.

    It is none if it is the `self` of a method, or annotated as something else.

    The context is a dict. The annotation is only looked up, not evaluated: its name may exist for type checkers alone.

    Args:
        context: The name of the type of the context, for the message.
        decorator: What registers the function, for the message.

    Raises:
        TaskDefinitionError: The function has no parameter for the context. The bound method of an object has one.
    """
    _check_no_method(function, decorator)
    signature = signature_of(function)
    first, *rest = signature.parameters.values() or [None]
    if first is None or first.kind is first.VAR_POSITIONAL or _may_be_context(first.annotation, function):
        return signature
    keyword = "async def" if is_async(function) else "def"
    more = ", ..." if rest else ""
    name = name_of(function)
    annotation = first.annotation if isinstance(first.annotation, str) else inspect.formatannotation(first.annotation)
    raise TaskDefinitionError(
        f"{name} must take the context as its first parameter, and {first.name}: {annotation} cannot be it; "
        f"write {keyword} {name.rpartition('.')[2]}(ctx: {context}, {first.name}: {annotation}{more})"
    )


def _check_no_method(function: Callable[..., Any], decorator: str) -> None:
    inner: Any = function if inspect.ismethod(function) else inspect.unwrap(function)
    if not inspect.isfunction(inner):
        return
    owner, _, name = inner.__qualname__.rpartition(".")
    parameters = inner.__code__.co_varnames[: inner.__code__.co_argcount]
    if owner and not owner.endswith("<locals>") and parameters[:1] in (("self",), ("cls",)):
        raise TaskDefinitionError(
            f"{name_of(function)} is a method, and a worker has no object to call it on; define a function outside of "
            f"the class, or register the method of an object, for example {decorator}"
            f"({owner.rpartition('.')[2]}().{name})"
        )


def _may_be_context(annotation: Any, function: Callable[..., Any]) -> bool:
    if isinstance(annotation, str):
        annotation = _looked_up(annotation, function)
    if get_origin(annotation) in (Union, UnionType):
        return any(_may_be_context(choice, function) for choice in get_args(annotation))
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) or kind is Any or getattr(kind, "_is_protocol", False):
        return True
    return kind is inspect.Parameter.empty or issubclass(kind, Mapping) or issubclass(dict, kind)


def _looked_up(annotation: str, function: Callable[..., Any]) -> Any:
    """Return what the annotation names in the function's module; Any if it names nothing there yet."""
    if not (named := re.fullmatch(r"([\w.]+)(\[.*\])?", annotation, re.DOTALL)):
        return Any
    first, *attributes = named[1].split(".")
    value = module_names(function).get(first, getattr(builtins, first, Any))
    for attribute in attributes:
        value = getattr(value, attribute, Any)
    return value
