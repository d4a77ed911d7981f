"""Defines the faults that a test can cause between a broker and its store."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Faults"]


class Faults(Protocol):
    """Causes faults between a broker and its store."""

    @property
    def lost(self) -> int:
        """The number of replies that were lost so far."""
        ...

    def lose_reply(self, skip: int = 0) -> None:
        """Lose one reply, after `skip` further replies; what was requested is done."""
        ...

    def go_down(self) -> None:
        """Make the store unreachable until `recover`."""
        ...

    def go_silent(self) -> None:
        """Let the store answer nothing until `recover`."""
        ...

    def slow_down(self, seconds: float) -> None:
        """Delay each reply by `seconds` until `recover`."""
        ...

    def recover(self) -> None:
        """End all faults."""
        ...
