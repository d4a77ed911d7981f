"""A simulated machine, whose clocks are both wrong."""

from __future__ import annotations

__all__ = ["Host", "TrueClock"]


class TrueClock:
    """The correct time of the simulation, which the broker shares. It cannot be slept on."""

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
        raise NotImplementedError(f"a simulation cannot sleep for {seconds} s")

    async def sleep_until(self, moment: float) -> None:
        """Refuse."""
        raise NotImplementedError(f"a simulation cannot sleep until {moment}")


class Host(TrueClock):
    """The clocks of a machine that drifts, can be suspended, and whose wall clock can be set.

    Args:
        true: The correct clock.
        ahead: Seconds by which its wall clock is ahead at first.
        drift: How much faster its monotonic clock runs: 0.001 for a thousandth.
    """

    def __init__(self, true: TrueClock, *, ahead: float, drift: float) -> None:
        super().__init__(true.now)
        self._true = true
        self._drift = drift
        self._ahead = ahead
        self._seen = true.now
        self._elapsed = 0.0
        self.suspended = False

    def time(self) -> float:
        """Return its wall clock, in seconds since 1970."""
        return self._true.now + self._ahead

    def monotonic(self) -> float:
        """Return the seconds for which it was not suspended, on its drifting clock."""
        passed = self._true.now - self._seen
        if not self.suspended:
            self._elapsed += passed * (1 + self._drift)
        self._seen = self._true.now
        return self._elapsed

    def step(self, seconds: float) -> None:
        """Set the wall clock."""
        self._ahead += seconds

    def suspend(self) -> None:
        """Suspend the machine."""
        self.monotonic()
        self.suspended = True

    def resume(self) -> None:
        """Resume the machine."""
        self.monotonic()
        self.suspended = False
