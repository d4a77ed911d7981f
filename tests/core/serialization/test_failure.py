"""Exceptions as text: bounded, storable, and on one line of the log."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.model.job import Failure
from aioq.serialization.failure import MESSAGE_LIMIT, TRACEBACK_LIMIT, describe, in_full, in_short, one_line


class Mute(Exception):
    """Raises when it is asked for its text."""

    def __str__(self) -> str:
        raise RuntimeError("no comment")


def raised(error: BaseException) -> Failure:
    """Describe an error as it is after it was raised."""
    try:
        raise error
    except BaseException as caught:
        return describe(caught)


def test_describe_has_type_message_and_traceback() -> None:
    """A failure has what Python would print."""
    failure = raised(ValueError("no such thing"))
    assert (failure.type, failure.message) == ("ValueError", "no such thing")
    assert failure.traceback.startswith("Traceback (most recent call last):")
    assert failure.traceback.endswith("ValueError: no such thing\n")


def test_describe_group_names_its_causes() -> None:
    """The message of a group names the exceptions inside, at any depth, and counts those that are left out."""
    inner = ExceptionGroup("inner", [KeyError("b"), Mute(), OSError()])
    failure = raised(ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("a"), inner]))
    assert failure.type == "ExceptionGroup"
    assert failure.message == (
        "unhandled errors in a TaskGroup (2 sub-exceptions): ValueError: a; KeyError: 'b'; "
        "Mute: (no message: the exception's __str__ raises); OSError"
    )
    many = raised(ExceptionGroup("many", [ValueError("x" * 5_000)] * 7)).message
    assert many.startswith("many (7 sub-exceptions): ValueError: xxx")
    assert many.endswith("xxx...; and 2 more")


def test_describe_exception_without_message() -> None:
    """The text of an exception without a message is its type."""
    assert raised(KeyboardInterrupt()).message == ""


def test_describe_broken_str() -> None:
    """An exception whose __str__ raises is described without its message."""
    failure = raised(Mute())
    assert failure.type == "Mute"
    assert failure.message == "(no message: the exception's __str__ raises)"
    assert "Mute" in failure.traceback


def test_describe_broken_traceback() -> None:
    """If the traceback cannot be formatted, type and message remain."""

    class Spiteful(Exception):
        @property
        def __notes__(self) -> list[str]:  # type: ignore[override]
            raise RuntimeError("no notes")

    failure = raised(Spiteful("text"))
    assert (failure.type, failure.message) == ("Spiteful", "text")
    assert failure.traceback == "" or sys.version_info >= (3, 13)  # which prints such a one in spite of all


def test_describe_cuts_long_texts() -> None:
    """Five megabytes become a kilobyte; of the traceback the end is kept."""
    failure = raised(ValueError("x" * 5_000_000))
    assert len(failure.message) == MESSAGE_LIMIT
    assert failure.message.endswith("x...")
    assert len(failure.traceback) == TRACEBACK_LIMIT
    assert failure.traceback.startswith("...x")


def test_describe_deep_recursion() -> None:
    """An exception with a thousand frames is described."""

    def down() -> None:
        down()

    with pytest.raises(RecursionError) as caught:
        down()
    failure = describe(caught.value)
    assert failure.type == "RecursionError"
    assert len(failure.traceback) <= TRACEBACK_LIMIT


def test_describe_exception_group() -> None:
    """The traceback contains the exceptions of a group."""
    failure = raised(ExceptionGroup("two things", [ValueError("one"), KeyError("two")]))
    assert failure.type == "ExceptionGroup"
    assert failure.message == "two things (2 sub-exceptions): ValueError: one; KeyError: 'two'"
    assert "ValueError: one" in failure.traceback
    assert "KeyError: 'two'" in failure.traceback


def test_describe_escapes_invalid_unicode() -> None:
    """An undecodable file name in a message is escaped, so that it can be stored."""
    failure = raised(FileNotFoundError("caf\udce9.txt"))
    assert failure.message == "caf\\udce9.txt"
    failure.traceback.encode()


@given(st.text(), st.integers(3, 100))
def test_one_line_any_text_fits(text: str, limit: int) -> None:
    """Any text becomes one printable line within the limit."""
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit


def test_one_line_escapes_control_characters() -> None:
    """Line ends and escape sequences become visible."""
    assert one_line("a\r\nb\x1b[31mc\x00\u2028d") == "a\\r\\nb\\x1b[31mc\\x00\\u2028d"
    assert one_line("plain äöü €") == "plain äöü €"


def test_one_line_cut_ends_with_dots() -> None:
    """A line that was cut ends with dots."""
    assert one_line("x" * 11, 10) == one_line("x" * 5000, 10) == "xxxxxxx..."
    assert one_line("\x00" * 3, 10) == r"\x00\x0..."


@pytest.mark.parametrize(
    ("error", "full", "short"),
    [
        (OSError("disk full"), "OSError: disk full", "disk full"),
        (KeyError("total"), "KeyError: 'total'", "KeyError: 'total'"),
        (ValueError(7), "ValueError: 7", "ValueError: 7"),
        (ValueError(), "ValueError", "ValueError"),
        (ValueError("a b\nc"), "ValueError: a b\\nc", "a b\\nc"),
    ],
)
def test_in_full_and_in_short_are_one_line(error: Exception, full: str, short: str) -> None:
    """`in_full` has the type; `in_short` has it only if the message is a single word."""
    assert (in_full(describe(error)), in_short(describe(error))) == (full, short)
