"""Write down how late a tick was fired. Runs in the environment of any of the schedulers, so it needs nothing."""

from __future__ import annotations

import os
import time

__all__ = ["URL", "note"]

EARLY = 0.5
"""Seconds by which a tick may be fired before its time and still be told from a late one."""

URL = os.environ.get("BENCH_URL", "")


def note(every: float) -> None:
    """Write down a tick and how late it is: the latest multiple of `every` seconds, or one that comes very soon."""
    at = time.time()
    tick = (at + EARLY) // every * every
    line = os.open(os.environ["BENCH_OUT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(line, f"{tick:.3f} {at - tick:.6f}\n".encode())
    os.close(line)
