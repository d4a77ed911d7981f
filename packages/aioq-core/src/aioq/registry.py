"""Which names an app's tasks and cron entries go by."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from aioq.callsite import imported_as
from aioq.errors import DuplicateName, UnknownTask

__all__ = ["Registry", "name_of", "where"]


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
