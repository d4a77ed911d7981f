"""Programs on a real terminal, as the system has them for windows and connections."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Shown", "aioq_on_terminal", "environment_with", "read"]

ROOT = Path(__file__).parents[3]
"""Where programs find the package `tests`."""

UNSET = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "WT_SESSION", "AIOQ_BROKER_URL")
"""What the machine of a developer may set, and would change what is shown."""


class Shown(NamedTuple):
    """The exit code of a program, and what stands on the terminal."""

    code: int
    text: str


def environment_with(**variables: str) -> dict[str, str]:
    """Return the environment of a program on a usual terminal, with these variables."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path, "TERM": "xterm", **variables}


def aioq_on_terminal(folder: Path, *argv: str, **variables: str) -> Shown:
    """Run `aioq` with stdout and stderr on a terminal of 80 columns."""
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 80))
    process = subprocess.Popen(
        [sys.executable, "-m", "aioq", *argv], cwd=folder, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal,
        env=environment_with(**variables),
    )  # fmt: skip
    os.close(terminal)
    try:
        text = b"".join(read(main)).decode()
        return Shown(process.wait(60), text.replace("\r\n", "\n"))
    finally:
        process.kill()
        process.wait()
        os.close(main)


def read(terminal: int) -> Iterator[bytes]:
    """Yield what is written to a terminal until the last process has closed it."""
    while True:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # how Linux reports the end
            return
        if not data:
            return
        yield data
