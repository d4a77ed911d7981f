"""An exception as text: bounded, on any exception whatever, and never executed again."""

from __future__ import annotations

import traceback

from aioq.job import Failure

__all__ = ["describe", "in_full", "in_short", "one_line"]

MESSAGE_LIMIT = 1024
TRACEBACK_LIMIT = 8192
"""Characters kept of a message and of a traceback."""


def describe(error: BaseException) -> Failure:
    """Return type, message and traceback of an exception, each cut to its limit.

    An exception whose own `__str__` raises is described by its type. What is no Unicode, such
    as an undecodable file name, is escaped: every broker can store the text.
    """
    message, trace = _cut(_message(error), MESSAGE_LIMIT), _tail(_trace(error), TRACEBACK_LIMIT)
    return Failure(_unicode(type(error).__name__), _unicode(message), _unicode(trace))


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return text that cannot break out of a log line: control characters escaped, and cut."""
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return _cut(shown, limit)


def in_full(failure: Failure) -> str:
    """Return type and message in one line."""
    return one_line(f"{failure.type}: {failure.message}" if failure.message else failure.type)


def in_short(failure: Failure) -> str:
    """Return the message in one line; with the type where it is a single word, such as the key of a KeyError."""
    return one_line(failure.message) if " " in failure.message else in_full(failure)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(the exception's text cannot be had: its __str__ raises)"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        return ""


def _unicode(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _tail(text: str, limit: int) -> str:
    """Keep the end, where Python says what went wrong."""
    return text if len(text) <= limit else "..." + text[3 - limit :]
