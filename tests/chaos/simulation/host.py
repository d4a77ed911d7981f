"""A simulated machine: its clocks are its own, and neither of them is right."""

from __future__ import annotations

__all__ = ["Host", "TrueClock"]


class TrueClock:
    """The time of the simulation, which is the broker's too. Nobody sleeps on it."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        """Return the true time, in seconds since 1970."""
        return self.now

    def monotonic(self) -> float:
        """Return the same."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Refuse: the simulation goes from event to event."""
        raise NotImplementedError(f"nobody sleeps for {seconds} s in a simulation")

    async def sleep_until(self, moment: float) -> None:
        """Refuse."""
        raise NotImplementedError(f"nobody sleeps until {moment} in a simulation")


class Host(TrueClock):
    """Clocks of a machine that drifts, is suspended, and has its wall clock set by somebody.

    Args:
        true: The true time.
        ahead: Seconds that its wall clock is ahead at first.
        drift: How much faster than true time its monotonic clock runs: 0.001 for a thousandth.
    """

    def __init__(self, true: TrueClock, *, ahead: float, drift: float) -> None:
        super().__init__(true.now)
        self._true, self._drift = true, drift
        self._ahead = ahead
        self._seen, self._elapsed = true.now, 0.0
        self.suspended = False

    def time(self) -> float:
        """Return its wall clock, in seconds since 1970."""
        return self._true.now + self._ahead

    def monotonic(self) -> float:
        """Return the seconds that it has run, by its own reckoning: suspended, it stands still."""
        passed = self._true.now - self._seen
        if not self.suspended:
            self._elapsed += passed * (1 + self._drift)
        self._seen = self._true.now
        return self._elapsed

    def step(self, seconds: float) -> None:
        """Set the wall clock."""
        self._ahead += seconds

    def suspend(self) -> None:
        """Stand still from now on."""
        self.monotonic()
        self.suspended = True

    def resume(self) -> None:
        """Go on."""
        self.monotonic()
        self.suspended = False
