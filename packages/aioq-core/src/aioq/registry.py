"""Holds the tasks and cron entries of an app by name."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from aioq.errors import DuplicateName, TaskDefinitionError, UnknownTask

__all__ = ["Registry"]


class Named(Protocol):
    """The attributes of an item of a registry."""

    @property
    def name(self) -> str: ...

    @property
    def where(self) -> str: ...


N = TypeVar("N", bound=Named)


class Registry(Generic[N]):
    """The tasks or the cron entries of an app, in the order of their definition.

    Args:
        kind: The kind of item, for messages.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._closed: list[str] = []
        self._by_name: dict[str, N] = {}
        self.get: Callable[[str], N | None] = self._by_name.get
        """Returns the item with a name, or None. No method around it: a worker calls it for every job."""

    def add(self, item: N) -> None:
        """Add an item.

        Raises:
            DuplicateName: The name is taken; the message says where.
            TaskDefinitionError: The registry is closed.
        """
        if self._closed:
            raise TaskDefinitionError(f"{self._kind} {item.name} comes too late: {self._closed[-1]}")
        if (first := self._by_name.get(item.name)) is not None:
            raise DuplicateName(self._kind, item.name, first.where, item.where)
        self._by_name[item.name] = item

    @contextmanager
    def closed(self, why: str) -> Generator[None]:
        """Refuse further items during the block, with a message that says why."""
        self._closed.append(why)
        try:
            yield
        finally:
            self._closed.remove(why)

    def __getitem__(self, name: str) -> N:
        try:
            return self._by_name[name]
        except KeyError:
            # All of them, so that a typing mistake shows beside the right name.
            known = ", ".join(sorted(self._by_name)) or "none"
            raise UnknownTask(f"no {self._kind} is named {name} (known: {known})") from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[N]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)
