"""Threads that nobody can cancel do not hold up the end of the process."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["own_command_line", "exit_now", "exit_if_threads_hang", "task_thread_pool"]

PLAIN = "AnyIO worker thread"
"""What the threads of plain `def` tasks are called."""

HANDED = "aioq thread"
"""What the threads of `asyncio.to_thread` are called."""

logger = logging.getLogger("aioq.cli")


@contextmanager
def task_thread_pool() -> Generator[None]:
    """Have the event loop not wait, at its end, for what tasks have handed to `asyncio.to_thread`."""
    loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor(thread_name_prefix=HANDED)
    loop.set_default_executor(threads)
    try:
        yield
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        loop.set_default_executor(ThreadPoolExecutor())  # an idle one for the loop to wait for


def exit_if_threads_hang(code: int) -> None:
    """End the process with `code` if a thread of a task, which nobody can cancel, runs on.

    Python would wait for the thread.
    """
    threads = [thread for thread in threading.enumerate() if thread.name.startswith((PLAIN, HANDED))]
    for thread in threads:
        thread.join(timeout=0.2)
    if stuck := sum(thread.is_alive() for thread in threads):
        logger.warning("left %d threads of tasks behind that did not end in time", stuck)
        exit_now(code)


def exit_now(code: int) -> NoReturn:
    """End the process, whatever is going on in it."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def own_command_line(words: Sequence[str], instead: Sequence[str]) -> list[str]:
    """Return the command line of this process, with other words in place of those of `aioq`.

    The same interpreter with the same options, and the same script or module.
    """
    started = sys.orig_argv
    at = len(started) - len(words)
    mine = started[1:at] if at > 1 and started[at:] == list(words) else ["-m", "aioq"]
    return [sys.executable, *mine, *instead]
