"""Formats log records of commands: as lines of text, or as lines of JSON."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from aioq.cli.output import redact

__all__ = ["JsonFormatter", "TextFormatter"]

STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of every record. All others come from `extra` or a filter."""

JOB: Final = frozenset(("job_id", "task", "queue", "attempt"))
"""Attributes that `JobFilter` adds to records outside of a job, too."""


class TextFormatter(logging.Formatter):
    """Replaces passwords in URLs, and names the job in lines that the code of a task logs."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name that `logging` calls
        """Return the line of a record, without its traceback."""
        line = super().formatMessage(record)
        job_id = getattr(record, "job_id", "")
        # The lines of aioq itself name the job where they are about it.
        if not job_id or record.name.startswith("aioq."):
            return line
        return f"{line} [job {job_id} of {getattr(record, 'task', '')}]"

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record, its traceback included."""
        # At the end, because a password may be in the message, its arguments or the traceback.
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, message, its traceback, and all that `extra` has."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Attributes that are empty are left out."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        left_out = STANDARD | fields.keys() | (frozenset[str]() if getattr(record, "job_id", "") else JOB)
        fields |= {
            name: value
            for name, value in vars(record).items()
            if name not in left_out and value is not None and value != ""
        }
        if record.exc_text or record.exc_info:
            fields["exception"] = redact(record.exc_text or self.formatException(record.exc_info or (None, None, None)))
        if record.stack_info:
            fields["stack"] = redact(record.stack_info)
        return json.dumps(fields, default=_text)


def _text(value: object) -> str:
    """Return a value that JSON has no type for."""
    return redact(str(value))
