"""The broker's clock, as far as its answers tell."""

from __future__ import annotations

from aioq.clock import SteadyClock

__all__ = ["BrokerClock"]


class BrokerClock(SteadyClock):
    """Runs on the host's monotonic time, and is put right by every answer of the broker.

    Until the first answer it shows the host's wall clock.
    """

    def heard(self, now: float, asked: float) -> None:
        """Learn from an answer that has just come in.

        The broker read its clock at some moment between the question and now, so an answer
        that took long says little: only what it contradicts is changed.

        Args:
            now: What the broker's clock showed.
            asked: Monotonic seconds of the question.
        """
        latest = now + self.monotonic() - asked
        self.set(min(max(self.time(), now), latest))
