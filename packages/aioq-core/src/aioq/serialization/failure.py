"""An exception as text: bounded, on any exception whatever, and never executed again."""

from __future__ import annotations

import traceback

from aioq.model.job import Failure

__all__ = ["describe", "in_full", "in_short", "one_line", "error_text"]

TYPE_LIMIT = 200
MESSAGE_LIMIT = 1024
TRACEBACK_LIMIT = 8192
"""Bytes in UTF-8 that are kept of a type's name, of a message and of a traceback."""


def describe(error: BaseException) -> Failure:
    """Return type, message and traceback of an exception, each cut to its limit.

    An exception whose own `__str__` raises is described by its type. What is no Unicode, such
    as an undecodable file name, is escaped: every broker can store the text.
    """
    return Failure(
        _head(type(error).__name__, TYPE_LIMIT),
        _head(_message(error), MESSAGE_LIMIT),
        _tail(_trace(error), TRACEBACK_LIMIT),
    )


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return text that cannot break out of a log line: control characters escaped, and cut."""
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return _cut(shown, limit)


def error_text(error: BaseException) -> str:
    """Return what an exception says, in one line; its type when it says nothing."""
    return one_line(_message(error) or type(error).__name__)


def in_full(failure: Failure) -> str:
    """Return type and message in one line."""
    return one_line(f"{failure.type}: {failure.message}" if failure.message else failure.type)


def in_short(failure: Failure) -> str:
    """Return the message in one line; with the type where it is a single word, such as the key of a KeyError."""
    return one_line(failure.message) if " " in failure.message else in_full(failure)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # the text of an exception is no place from which to end a worker
        return "(the exception's text cannot be had: its __str__ raises)"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:
        return ""


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _head(text: str, limit: int) -> str:
    """Keep the beginning."""
    data = text[: limit + 1].encode("utf-8", "backslashreplace")
    return data.decode() if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "..."


def _tail(text: str, limit: int) -> str:
    """Keep the end, where Python says what went wrong."""
    data = text[-limit - 1 :].encode("utf-8", "backslashreplace")
    return data.decode() if len(data) <= limit else "..." + data[3 - limit :].decode("utf-8", "ignore")
