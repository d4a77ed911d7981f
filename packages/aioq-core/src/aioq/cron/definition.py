"""Entries as an app registers them with a ledger, and how one set of them differs from another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aioq.cron.entry import CronEntry
from aioq.ticks import CronDefinition

__all__ = ["CronDiff", "compare", "define", "version_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CronDiff:
    """How the entries of an app differ from those that are registered; each sorted by queue and name."""

    added: tuple[CronDefinition, ...] = ()
    changed: tuple[tuple[CronDefinition, CronDefinition], ...] = ()
    """As registered, and as in the code."""
    removed: tuple[CronDefinition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def define(entry: CronEntry) -> CronDefinition:
    """Return an entry as it is registered."""
    raise NotImplementedError


def version_of(definitions: Iterable[CronDefinition]) -> str:
    """Return a short text that is equal for equal sets of definitions, in every process."""
    raise NotImplementedError


def compare(registered: Sequence[CronDefinition], code: Sequence[CronDefinition]) -> CronDiff:
    """Return what registering `code` in place of `registered` would change."""
    raise NotImplementedError
