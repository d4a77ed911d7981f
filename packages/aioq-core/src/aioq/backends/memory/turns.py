"""Whose turn it is to make room for the suspects of a queue."""

from __future__ import annotations

__all__ = ["TURN", "Turns"]

TURN = 10
"""Lengths of a lease for which a worker may take to become empty before it is another one's turn."""


class Turns:
    """One worker for each queue that has suspects: it claims nothing more until it is empty."""

    def __init__(self) -> None:
        self._turns: dict[str, tuple[str, float]] = {}

    def take(self, queue: str, worker_id: str, lease: float, now: float) -> bool:
        """Whether it is this worker's turn; it becomes so when it is nobody's."""
        holder, until = self._turns.get(queue, ("", 0.0))
        if until <= now:
            holder = worker_id
            self._turns[queue] = holder, now + TURN * lease
        return holder == worker_id

    def end(self, queue: str) -> None:
        """Note that a suspect has found its worker."""
        self._turns.pop(queue, None)
