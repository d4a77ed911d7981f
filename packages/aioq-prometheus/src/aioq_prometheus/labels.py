"""Bounds the values of labels: a process has at most a known number of series, whatever names clients send."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

__all__ = ["MAX_PAIRS", "OTHER", "LabelPairs"]

MAX_PAIRS: Final = 500
"""Pairs of a queue and a task, or of a queue and a cron entry, that have series of their own in a process."""

OTHER: Final = "other"
"""The label of what has no series of its own."""


class LabelPairs:
    """The first `MAX_PAIRS` pairs of a queue and a name keep both. Further ones are `OTHER`.

    Args:
        known: The names that an app defines; any other name is `OTHER`. None if all names are taken.
    """

    def __init__(self, known: Container[str] | None = None) -> None:
        self._known = known
        self._pairs: set[tuple[str, str]] = set()

    def of(self, queue: str, name: str) -> tuple[str, str]:
        """Return the labels of a queue and a name."""
        pair = (queue, name) if self._known is None or name in self._known else (queue, OTHER)
        if pair not in self._pairs:
            if len(self._pairs) >= MAX_PAIRS:
                return OTHER, OTHER
            self._pairs.add(pair)
        return pair
