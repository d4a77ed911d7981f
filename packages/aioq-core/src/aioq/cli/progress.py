"""How far a long piece of work has come, on stderr."""

from __future__ import annotations

import sys

from aioq.clock import SystemClock

__all__ = ["Progress"]

EVERY = 5.0
"""Seconds between lines where stderr is no terminal, on which one line could be written again and again."""


class Progress:
    """Says `what: 3 of 12` as work goes on.

    Args:
        what: What stands before the figures.
        total: How much there is to do.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, total
        self._terminal = sys.stderr.isatty()
        self._clock = SystemClock()
        self._said = self._clock.monotonic()

    def show(self, done: int) -> None:
        """Say that so much is done, unless something was said a moment ago."""
        text = f"{self._what}: {done:,} of {self._total:,}"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        elif (moment := self._clock.monotonic()) - self._said >= EVERY:
            self._said = moment
            sys.stderr.write(f"{text}\n")

    def clear(self) -> None:
        """Make room for other text."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
