"""Threads that nobody can cancel do not hold up the end of the process."""

from __future__ import annotations

import logging
import os
import sys
import threading

__all__ = ["leave_threads_behind"]

logger = logging.getLogger("aioq.cli")


def leave_threads_behind(code: int) -> None:
    """End the process with `code` if a plain `def` task, which nobody can cancel, runs on in its thread.

    Python would wait for the thread.
    """
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("AnyIO worker thread")]
    for thread in threads:
        thread.join(timeout=0.2)
    if stuck := sum(thread.is_alive() for thread in threads):
        logger.warning("left %d plain def tasks behind that did not end in time", stuck)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
