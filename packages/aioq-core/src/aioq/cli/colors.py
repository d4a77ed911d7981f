"""Colours of text on terminals: when there are any, and which text has which."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TextIO

__all__ = ["Color", "count_color", "has_color", "painted", "state_color"]


class Color(StrEnum):
    """What a terminal does with a text: the number in the sequence of characters that switches it on."""

    BOLD = "1"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


COLORS: Final[Mapping[str, Color]] = {
    **dict.fromkeys(("completed", "ok"), Color.GREEN),
    **dict.fromkeys(("running", "fired"), Color.CYAN),
    **dict.fromkeys(("retrying", "cancelled", "skipped", "paused", "warn"), Color.YELLOW),
    **dict.fromkeys(("failed", "dead", "expired", "missed", "OVERDUE", "fail"), Color.RED),
}
"""The colours of the states of jobs, ticks and entries, and of the levels of findings. Others are plain."""


def has_color(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether text for a stream is coloured.

    A terminal has colours unless it is dumb. A `NO_COLOR` that is not empty prevents them everywhere, and a
    `FORCE_COLOR` that is not empty makes also a pipe have them. Python itself decides so for its tracebacks.

    Args:
        stream: Where the text is written to.
        environment: The environment variables.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    # Windows sets no TERM, and its old console shows the sequences themselves.
    dumb = environment.get("TERM", "dumb") == "dumb" and "WT_SESSION" not in environment
    return stream.isatty() and not dumb


def painted(text: str, color: Color | None) -> str:
    """Return a text in a colour; as it is if that is None, or there is no text."""
    return f"\x1b[{color}m{text}\x1b[0m" if color and text else text


def state_color(text: str) -> Color | None:
    """Return the colour of a text that begins with a state, such as `failed 12:00`; None if it is plain."""
    return COLORS.get(text.partition(" ")[0].rstrip(":,"))


def count_color(text: str) -> Color | None:
    """Return the colour of a number of things that need a person: red, unless it is 0."""
    return None if text in ("", "0") else Color.RED
