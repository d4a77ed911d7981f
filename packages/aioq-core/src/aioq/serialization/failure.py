"""Converts exceptions to text of bounded length. Works for every exception, even a broken one."""

from __future__ import annotations

import traceback
from typing import cast

from aioq.model.job import Failure
from aioq.serialization.place import place_of

__all__ = ["causes", "describe", "in_full", "in_short", "one_line", "error_text"]

TYPE_LIMIT = 200
MESSAGE_LIMIT = 1024
TRACEBACK_LIMIT = 8192
PLACE_LIMIT = 200
"""Limits of a type's name, a message, a traceback and a place, in bytes of UTF-8."""

MAX_CAUSES = 5
CAUSE_LIMIT = 160
"""How many exceptions of a group its message names, and the characters of each, so that all of them fit."""


def describe(error: BaseException, *, package: str = "") -> Failure:
    """Return the type, message, traceback and place of an exception, each cut to its limit.

    If the exception's own `__str__` raises, a note replaces the message. Characters that are not valid
    Unicode, as in an undecodable file name, are escaped, so that every broker can store the text.

    Args:
        error: The exception. The place of a group is that of its first cause.
        package: The top-level package of the task; see `aioq.serialization.place.place_of`.
    """
    return Failure(
        _head(type(error).__name__, TYPE_LIMIT),
        _head(_message(error), MESSAGE_LIMIT),
        _tail(_trace(error), TRACEBACK_LIMIT),
        _head(_place(error, package), PLACE_LIMIT),
    )


def one_line(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return text that fits in one log line: control characters escaped, and cut to `limit` characters."""
    # Nearly all texts are like this, and a worker logs names all the time.
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return _cut(shown, limit)


def error_text(error: BaseException) -> str:
    """Return the message of an exception in one line; its type if the message is empty."""
    return one_line(_message(error) or type(error).__name__)


def in_full(failure: Failure) -> str:
    """Return the type and message of a failure in one line."""
    return one_line(f"{failure.type}: {failure.message}" if failure.message else failure.type)


def in_short(failure: Failure) -> str:
    """Return the message of a failure in one line, with the type if it is a single word like the key of a KeyError."""
    return one_line(failure.message) if " " in failure.message else in_full(failure)


def causes(error: BaseException) -> list[BaseException]:
    """Return the exceptions inside a group, at any depth, in order; the exception itself if it is no group."""
    found: list[BaseException] = []
    # No recursion: a group may be nested deeper than Python's stack.
    left = [error]
    while left:
        one = left.pop()
        if isinstance(one, BaseExceptionGroup):
            left.extend(reversed(cast("BaseExceptionGroup[BaseException]", one).exceptions))
        else:
            found.append(one)
    return found


def _message(error: BaseException) -> str:
    inside = causes(error)
    if inside == [error]:
        return _own_message(error)
    named = [
        _cut(in_full(Failure(type(cause).__name__, _own_message(cause))), CAUSE_LIMIT) for cause in inside[:MAX_CAUSES]
    ]
    more = f"; and {len(inside) - MAX_CAUSES} more" if len(inside) > MAX_CAUSES else ""
    return f"{_own_message(error)}: {'; '.join(named)}{more}"


def _own_message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # a broken __str__ must not end the worker
        return "(no message: the exception's __str__ raises)"


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:
        return ""


def _place(error: BaseException, package: str) -> str:
    # The exceptions in a group may have no traceback. Python replaces a StopIteration that leaves a coroutine by an
    # exception that has no frame of the coroutine.
    sources = (causes(error)[0], error, error.__cause__)
    return next((place for one in sources if one is not None and (place := place_of(one, package))), "")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _head(text: str, limit: int) -> str:
    """Cut the end off."""
    # Cut before it is encoded: the text of an exception may have megabytes.
    data = text[: limit + 1].encode("utf-8", "backslashreplace")
    return data.decode() if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "..."


def _tail(text: str, limit: int) -> str:
    """Cut the beginning off: the end of a traceback names the error."""
    data = text[-limit - 1 :].encode("utf-8", "backslashreplace")
    return data.decode() if len(data) <= limit else "..." + data[3 - limit :].decode("utf-8", "ignore")
