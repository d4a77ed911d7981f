"""Sets up logging for commands. The library itself configures no logging."""

from __future__ import annotations

import logging
import sys

from aioq.cli.log_handler import BackgroundHandler
from aioq.cli.output import redact

__all__ = ["DEFAULT_LEVEL", "LEVELS", "configure_logging"]

LEVELS = ("debug", "info", "warning", "error")
DEFAULT_LEVEL = "info"

LINE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


class RedactingFormatter(logging.Formatter):
    """A log formatter that replaces passwords in URLs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, its traceback included."""
        # At the end, because a password may be in the message, its arguments or the traceback.
        return redact(super().format(record))


def configure_logging(level: str | None) -> None:
    """Log to stderr, for the app's own loggers too. An app that has set up logging keeps its handlers.

    Args:
        level: One of `LEVELS`; None for the default, or for the level that the app has set.
    """
    root = logging.getLogger()
    ours = logging.getLogger("aioq")
    disabled = _enable()
    wanted = (level or DEFAULT_LEVEL).upper()
    # The level that an app has set stays, unless the command line names another.
    if level is not None or ours.level == logging.NOTSET:
        ours.setLevel(wanted)
    if not root.handlers:
        handler = BackgroundHandler(sys.stderr)
        handler.setFormatter(RedactingFormatter(LINE_FORMAT, DATE_FORMAT))
        root.addHandler(handler)
        root.setLevel(wanted)
    elif level is not None:
        root.setLevel(wanted)
    if disabled:
        ours.warning(
            "the app's logging configuration had disabled %d loggers of aioq, and they are enabled again; "
            "write disable_existing_loggers=False in it, because the default is True",
            disabled,
            extra={"event": "loggers_enabled"},
        )


def _enable() -> int:
    """Enable the loggers of aioq that a logging configuration has disabled, and return how many they were."""
    names = [name for name in logging.root.manager.loggerDict if name == "aioq" or name.startswith("aioq.")]
    disabled = [logger for logger in map(logging.getLogger, names) if logger.disabled]
    for logger in disabled:
        logger.disabled = False
    return len(disabled)
