"""Logging, as the commands set it up: the library itself configures nothing."""

from __future__ import annotations

import logging

from aioq.cli.output import redact

__all__ = ["DEFAULT_LEVEL", "LEVELS", "configure"]

LEVELS = ("debug", "info", "warning", "error")
DEFAULT_LEVEL = "info"

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"


class MaskingFormatter(logging.Formatter):
    """Formats as asked, and lets no password in a URL through."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, its traceback included."""
        return redact(super().format(record))


def configure(level: str | None) -> None:
    """Log to stderr, the app's own loggers too; an app that has set up logging keeps its handlers.

    Args:
        level: One of `LEVELS`; None for the default, or for what the app has chosen itself.
    """
    root, ours = logging.getLogger(), logging.getLogger("aioq")
    wanted = (level or DEFAULT_LEVEL).upper()
    if level is not None or ours.level == logging.NOTSET:
        ours.setLevel(wanted)
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(MaskingFormatter(FORMAT, DATES))
        root.addHandler(handler)
        root.setLevel(wanted)
    elif level is not None:
        root.setLevel(wanted)
