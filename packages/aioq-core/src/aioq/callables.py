"""Inspects and calls functions: their names, the modules that define them, and calls in threads."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import anyio.to_thread

__all__ = ["calling_line", "calling_module", "imported_as", "in_thread", "is_async", "is_generator", "name_of", "where"]


def name_of(function: Callable[..., Any]) -> str:
    """Return `module.function`, the same in every process.

    For a function of a script that runs as `__main__`, the module is the name under which a worker
    imports the script.
    """
    # Without `<locals>` and the brackets of `<lambda>`, which names may not contain.
    named = _named(function)
    return f"{imported_as(named.__module__)}.{re.sub('[<>]', '', named.__qualname__.replace('<locals>.', ''))}"


def where(function: Callable[..., Any]) -> str:
    """Return the file and line of a function, for messages."""
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


async def in_thread(call: Callable[[], Any], limiter: anyio.CapacityLimiter | None = None) -> Any:
    """Run a blocking call in a worker thread. If the caller is cancelled, the thread runs on.

    A returned awaitable is awaited: a plain `def` may wrap an `async def`.
    """
    # A thread cannot be stopped: waiting for it would keep a stopping worker from releasing its job.
    outcome = await anyio.to_thread.run_sync(_outcome_of, call, abandon_on_cancel=True, limiter=limiter)
    result = outcome()
    return await result if inspect.isawaitable(result) else result


def _outcome_of(call: Callable[[], Any]) -> Callable[[], Any]:
    """Run `call`, and return a function that returns its result or raises its exception.

    Threads cannot pass every outcome on directly: trio rejects a coroutine as a result, and asyncio
    treats a GeneratorExit as its own.
    """
    try:
        result = call()
    except BaseException as error:
        return partial(_raise, error)
    return lambda: result


def _raise(error: BaseException) -> NoReturn:
    raise error


def is_async(function: Callable[..., Any]) -> bool:
    """Return whether the function is an `async def`, or an object whose `__call__` is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def is_generator(function: Callable[..., Any]) -> bool:
    """Return whether the function is a generator, whose call runs none of its code."""
    return inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
