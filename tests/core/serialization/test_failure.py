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


def test_type_message_and_traceback() -> None:
    """What Python would print is what is kept."""
    failure = raised(ValueError("no such thing"))
    assert (failure.type, failure.message) == ("ValueError", "no such thing")
    assert failure.traceback.startswith("Traceback (most recent call last):")
    assert failure.traceback.endswith("ValueError: no such thing\n")


def test_an_exception_without_text() -> None:
    """Its type says it all."""
    assert raised(KeyboardInterrupt()).message == ""


def test_an_exception_whose_text_cannot_be_had() -> None:
    """A broken __str__ does not break us."""
    failure = raised(Mute())
    assert failure.type == "Mute"
    assert failure.message == "(no message: the exception's __str__ raises)"
    assert "Mute" in failure.traceback


def test_an_exception_whose_traceback_cannot_be_had() -> None:
    """Whatever breaks the formatting, type and message remain."""

    class Spiteful(Exception):
        @property
        def __notes__(self) -> list[str]:  # type: ignore[override]
            raise RuntimeError("no notes")

    failure = raised(Spiteful("text"))
    assert (failure.type, failure.message) == ("Spiteful", "text")
    assert failure.traceback == "" or sys.version_info >= (3, 13)  # which prints such a one in spite of all


def test_long_texts_are_cut() -> None:
    """Five megabytes become a kilobyte; of the traceback the end is kept."""
    failure = raised(ValueError("x" * 5_000_000))
    assert len(failure.message) == MESSAGE_LIMIT
    assert failure.message.endswith("x...")
    assert len(failure.traceback) == TRACEBACK_LIMIT
    assert failure.traceback.startswith("...x")


def test_deep_recursion_is_described() -> None:
    """A thousand frames fit as well."""

    def down() -> None:
        down()

    with pytest.raises(RecursionError) as caught:
        down()
    failure = describe(caught.value)
    assert failure.type == "RecursionError"
    assert len(failure.traceback) <= TRACEBACK_LIMIT


def test_groups_are_described_whole() -> None:
    """The traceback names what is in a group."""
    failure = raised(ExceptionGroup("two things", [ValueError("one"), KeyError("two")]))
    assert failure.type == "ExceptionGroup"
    assert failure.message == "two things (2 sub-exceptions)"
    assert "ValueError: one" in failure.traceback
    assert "KeyError: 'two'" in failure.traceback


def test_text_that_is_no_unicode_is_escaped() -> None:
    """An undecodable file name in an error can be stored like any other text."""
    failure = raised(FileNotFoundError("caf\udce9.txt"))
    assert failure.message == "caf\\udce9.txt"
    failure.traceback.encode()


@given(st.text(), st.integers(3, 100))
def test_one_line_is_one_line(text: str, limit: int) -> None:
    """Whatever the text, nothing that it holds can break out of a log line, and it is not longer than allowed."""
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit


def test_control_characters_are_escaped() -> None:
    """Line ends and escape sequences become visible."""
    assert one_line("a\r\nb\x1b[31mc\x00\u2028d") == "a\\r\\nb\\x1b[31mc\\x00\\u2028d"
    assert one_line("plain äöü €") == "plain äöü €"


def test_a_line_that_is_cut_says_so() -> None:
    """Its last characters stand for the rest, whatever the text is made of."""
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
def test_a_failure_in_one_line(error: Exception, full: str, short: str) -> None:
    """In full with its type; in short without it, unless the message is a single word that says nothing."""
    assert (in_full(describe(error)), in_short(describe(error))) == (full, short)
