"""Ends a process although threads of its tasks go on, and builds the command line that starts it again."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, NoReturn

__all__ = ["exit_if_threads_hang", "exit_now", "note_earlier_threads", "own_command_line", "task_thread_pool"]

THREAD_OF_PLAIN_TASK: Final = "AnyIO worker thread"
"""How the names of threads begin that run plain `def` tasks."""

THREAD_OF_POOL: Final = "aioq thread"
"""How the names of threads begin that tasks start with `asyncio.to_thread`."""

JOIN_TIMEOUT: Final = 0.2
"""Seconds to wait for each thread when the process ends."""

FLUSH_TIMEOUT: Final = 2.0
"""Seconds to wait for the log and stdout when the process ends."""

logger = logging.getLogger("aioq.cli")


@contextmanager
def task_thread_pool() -> Generator[None]:
    """Give `asyncio.to_thread` a pool of its own, for which the event loop does not wait when it closes."""
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(thread_name_prefix=THREAD_OF_POOL)
    loop.set_default_executor(pool)
    try:
        yield
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        loop.set_default_executor(ThreadPoolExecutor())  # the loop waits for this one, which is idle


_earlier: set[threading.Thread] = set()
"""The threads that ran before the command: a program that calls `main` may have tasks of its own."""


def note_earlier_threads() -> None:
    """Note which threads run before a command begins, so that it does not end because of them."""
    _earlier.clear()
    _earlier.update(threading.enumerate())


def exit_if_threads_hang(code: int) -> None:
    """Exit with `code` if a thread of a task is still running: it cannot be cancelled, and Python would wait for it."""
    prefixes = (THREAD_OF_PLAIN_TASK, THREAD_OF_POOL)
    threads = [one for one in threading.enumerate() if one.name.startswith(prefixes) and one not in _earlier]
    for thread in threads:
        thread.join(timeout=JOIN_TIMEOUT)
    if running := sum(thread.is_alive() for thread in threads):
        logger.warning(
            "exiting although %d threads of tasks are still running", running, extra={"event": "exit_forced"}
        )
        exit_now(code)


def exit_now(code: int) -> NoReturn:
    """Exit at once, without waiting for threads and tasks."""
    # In a thread: the reader of stdout or of a log may stand still.
    flush = threading.Thread(target=_flush, daemon=True)
    flush.start()
    flush.join(FLUSH_TIMEOUT)
    os._exit(code)


def _flush() -> None:
    # `os._exit` runs no exit handlers, so nothing else flushes the log and stdout.
    logging.shutdown()
    sys.stdout.flush()


def own_command_line(words: Sequence[str], instead: Sequence[str]) -> list[str]:
    """Return the command line of this process with other arguments.

    It has the same interpreter with the same options, and the same script or module.

    Args:
        words: The arguments of this process.
        instead: The arguments to replace them with.
    """
    # `sys.argv` lacks the options of the interpreter, such as `-X` and `-W`.
    original = sys.orig_argv
    start = len(original) - len(words)
    before = original[1:start] if start > 1 and original[start:] == list(words) else ["-m", "aioq"]
    return [sys.executable, *before, *instead]
