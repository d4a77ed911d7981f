"""Which names an app's tasks and cron entries go by."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import anyio.to_thread

from aioq.errors import DuplicateName, UnknownTask

__all__ = [
    "Registry",
    "calling_line",
    "calling_module",
    "imported_as",
    "in_thread",
    "is_async",
    "is_generator",
    "name_of",
    "where",
]


class Named(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str: ...

    @property
    def where(self) -> str: ...


N = TypeVar("N", bound=Named)


class Registry(Generic[N]):
    """Tasks, or cron entries, by name."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._by_name: dict[str, N] = {}

    def add(self, item: N) -> None:
        """Take in an item.

        Raises:
            DuplicateName: Its name is taken; the message says where.
        """
        if (first := self._by_name.get(item.name)) is not None:
            raise DuplicateName(self._kind, item.name, first.where, item.where)
        self._by_name[item.name] = item

    def __getitem__(self, name: str) -> N:
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(sorted(self._by_name)) or "none"
            raise UnknownTask(f"no {self._kind} is named {name} (known: {known})") from None

    def get(self, name: str) -> N | None:
        """Return the item of a name, or None."""
        return self._by_name.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[N]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)


def name_of(function: Callable[..., Any]) -> str:
    """Return `module.function`, the same in the process that enqueues and the one that runs.

    A script that is run, and so is called `__main__`, goes by the name under which a
    worker would import it.
    """
    named = _named(function)
    return f"{imported_as(named.__module__)}.{re.sub('[<>]', '', named.__qualname__.replace('<locals>.', ''))}"


def where(function: Callable[..., Any]) -> str:
    """Return file and line of a function, for messages."""
    code = getattr(inspect.unwrap(_named(function)), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


def _named(function: Callable[..., Any]) -> Any:
    """Return what gives a callable its name: a partial's function, the class of an object with `__call__`."""
    while isinstance(function, partial):
        function = function.func
    return function if hasattr(function, "__qualname__") else type(function)


def calling_module() -> str:
    """Return the name of the module that called into aioq, as a worker would import it.

    Characters that names do not have are replaced.
    """
    frame = _caller()
    module = imported_as(frame.f_globals.get("__name__", "__main__")) if frame else "__main__"
    return re.sub(r"[^A-Za-z0-9_.:-]", "_", module)[:200]


def calling_line() -> str:
    """Return file and line of the call into aioq."""
    frame = _caller()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "?"


def imported_as(module: str) -> str:
    """Return the name under which a worker would import a module.

    It differs for a script that is run, and so is called `__main__`.
    """
    if module not in ("__main__", "__mp_main__"):
        return module
    main = sys.modules[module]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    return Path(file).stem if file is not None and file.endswith(".py") else module


def _caller() -> FrameType | None:
    frame = inspect.currentframe()
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith("aioq."):
        frame = frame.f_back
    return frame


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
