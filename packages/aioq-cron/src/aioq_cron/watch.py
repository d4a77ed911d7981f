"""Noticing that the wall clock was set."""

from __future__ import annotations

import logging

from aioq.protocols import Clock

__all__ = ["ClockWatch"]

logger = logging.getLogger("aioq.cron")

# Vixie cron's bound: a clock set back further than that is a correction, and counts from then on.
_CORRECTION = 3 * 3_600.0
_WORTH_A_LINE = 5.0


class ClockWatch:
    """Compares the wall clock with the monotonic one, and with the latest time it has shown."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._monotonic = clock.time(), clock.monotonic()
        self._latest = self._wall

    def corrected(self) -> bool:
        """Look at the clocks; True when the wall clock went back by more than three hours.

        By less than that, in one step or in several, it is left to catch up with itself.
        """
        wall, monotonic = self._clock.time(), self._clock.monotonic()
        jump = (wall - self._wall) - (monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        corrected = self._latest - wall > _CORRECTION
        self._latest = wall if corrected else max(wall, self._latest)
        self._tell(jump, corrected=corrected)
        return corrected

    def _tell(self, jump: float, *, corrected: bool) -> None:
        if corrected:
            logger.warning("the wall clock went back by %.0f s: cron entries start afresh from the new time", -jump)
        elif jump < -_WORTH_A_LINE:
            logger.warning("the wall clock went back by %.0f s: no tick fires again until it has caught up", -jump)
        elif jump > _WORTH_A_LINE:
            logger.info("the wall clock went ahead by %.0f s, set or after a suspend: what is overdue is due now", jump)
