"""Restarts a worker when its code changes, for development."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aioq.cli.exit_codes import CommandError, Exit

if TYPE_CHECKING:
    from watchfiles.main import FileChange

__all__ = ["run_and_reload"]

STOP_TIMEOUT: Final = 10
"""Seconds that a worker has to release its jobs; then it is killed, and they run again after their lease."""

logger = logging.getLogger("aioq.cli")


def run_and_reload(command: Sequence[str]) -> int:
    """Run a command, and again whenever a Python file below the current folder changes, until it is interrupted.

    A command that ends by itself, as after a syntax error, is run again after the next change.

    Raises:
        CommandError: watchfiles is not installed.
    """
    if find_spec("watchfiles") is None:
        raise CommandError('watchfiles is not installed; run: pip install "aioq-core[reload]"', Exit.CONFIG)
    from watchfiles import PythonFilter, run_process  # noqa: PLC0415 - of an extra

    logger.info("watching the Python files below %s", Path.cwd(), extra={"event": "reload_watching"})
    run_process(
        Path.cwd(),
        target=shlex.join(command),
        target_type="command",
        callback=_log_changes,
        watch_filter=PythonFilter(),
        # The worker restarts soon after a file was saved; editors write several files within this time.
        debounce=200,
        sigint_timeout=STOP_TIMEOUT,
    )
    return Exit.OK


def _log_changes(changes: set[FileChange]) -> None:
    files = sorted({Path(path).name for _, path in changes})
    logger.info("%s changed: the worker starts again", ", ".join(files[:3]), extra={"event": "reload_restarts"})
