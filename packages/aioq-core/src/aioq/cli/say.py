"""What commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager

from aioq.cli.secrets import masked
from aioq.failure import one_line

__all__ = ["complain", "ending_with_its_reader", "say", "say_json", "width"]


def say(text: str = "") -> None:
    """Print to stdout, at once: a reader at the other end of a pipe sees it as it happens."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(value: object) -> None:
    """Print a value for programs."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def complain(text: str) -> None:
    """Print one line to stderr."""
    sys.stderr.write(f"aioq: {one_line(masked(text))}\n")


def width() -> int | None:
    """Return the columns of the terminal that stdout is; None when it is something else."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextmanager
def ending_with_its_reader() -> Generator[None]:
    """Have the process end, without a word, when whoever reads stdout has left.

    For what prints from within tasks, where an exception would be taken for the task's own.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGPIPE, before)
