"""Sets up logging for commands. The library itself configures no logging."""

from __future__ import annotations

import logging
import sys

from aioq.cli.log_format import JsonFormatter, TextFormatter
from aioq.cli.log_handler import BackgroundHandler
from aioq.logs import JobFilter

__all__ = ["DEFAULT_LEVEL", "FORMATS", "LEVELS", "configure_logging"]

LEVELS = ("debug", "info", "warning", "error")
DEFAULT_LEVEL = "info"

FORMATS = ("text", "json")

LINE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


def configure_logging(level: str | None, log_format: str | None = None) -> None:
    """Log to stderr, for the app's own loggers too. An app that has set up logging keeps its handlers.

    Args:
        level: One of `LEVELS`; None for the default, or for the level that the app has set.
        log_format: One of `FORMATS`; None for text.
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
        handler.addFilter(JobFilter())
        handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter(LINE_FORMAT, DATE_FORMAT))
        root.addHandler(handler)
        root.setLevel(wanted)
    else:
        if level is not None:
            root.setLevel(wanted)
        if log_format is not None:
            ours.warning(
                "--log-format has no effect, because the app configures logging; set a formatter there",
                extra={"event": "log_format_unused"},
            )
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
