"""Functions of users: what kind they are, and how to call one that blocks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import anyio.to_thread

__all__ = ["in_thread", "is_async", "is_generator"]


async def in_thread(call: Callable[[], Any], limiter: anyio.CapacityLimiter | None = None) -> Any:
    """Make a blocking call in a worker thread; when cancelled, leave the thread to itself.

    If what it returns wants to be awaited, it is: a plain `def` may be a wrapper of an `async def`.
    """
    outcome = await anyio.to_thread.run_sync(_outcome_of, call, abandon_on_cancel=True, limiter=limiter)
    result = outcome()
    return await result if inspect.isawaitable(result) else result


def _outcome_of(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return what returns or raises what `call` does.

    So wrapped, everything comes out of a thread: trio refuses a coroutine there, and
    asyncio takes a GeneratorExit for its own.
    """
    try:
        result = call()
    except BaseException as error:
        return partial(_raise, error)
    return lambda: result


def _raise(error: BaseException) -> NoReturn:
    raise error


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling the function gives something to await, as far as can be told beforehand."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether calling the function runs none of it, and gives something to iterate over."""
    return inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
