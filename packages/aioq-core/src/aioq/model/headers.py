"""Checks the headers of a job: text that goes with it and is none of its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

__all__ = ["MAX_HEADERS", "MAX_HEADER_BYTES", "check_headers"]

MAX_HEADERS: Final = 32

MAX_HEADER_BYTES: Final = 8192
"""Bytes of all names and values of one job together, in UTF-8."""


def check_headers(headers: object) -> Mapping[str, str] | None:
    """Return a copy of headers; None if they are empty.

    Raises:
        TypeError: They are no mapping of text to text.
        ValueError: They are too many or too long, a name is empty, or a text is not valid Unicode.
    """
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers must be a mapping of text to text, got {type(headers).__name__}")
    given = cast("Mapping[object, object]", headers)
    size = 0
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers must be a mapping of text to text, got {name!r}: {type(value).__name__}")
        if not name:
            raise ValueError("headers must not have an empty name")
        try:
            size += len(name.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise ValueError(f"header {name!r} has characters that UTF-8 cannot encode") from None
    if len(given) > MAX_HEADERS:
        raise ValueError(f"a job has at most {MAX_HEADERS} headers, got {len(given)}")
    if size > MAX_HEADER_BYTES:
        raise ValueError(f"the headers of a job have at most {MAX_HEADER_BYTES:,} bytes together, got {size:,}")
    return dict(cast("Mapping[str, str]", given)) or None
