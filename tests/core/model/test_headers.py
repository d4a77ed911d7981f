"""Headers: text to text, within limits."""

from __future__ import annotations

import pytest

from aioq.model.headers import MAX_HEADER_BYTES, MAX_HEADERS, check_headers

BAD: list[tuple[object, type[Exception], str]] = [
    ("a: b", TypeError, "headers must be a mapping of text to text, got str"),
    ([("a", "b")], TypeError, "headers must be a mapping of text to text, got list"),
    ({"a": 1}, TypeError, "headers must be a mapping of text to text, got 'a': int"),
    ({b"a": "1"}, TypeError, "headers must be a mapping of text to text, got b'a': str"),
    ({"": "1"}, ValueError, "headers must not have an empty name"),
    ({"a": "\ud800"}, ValueError, "header 'a' has characters that UTF-8 cannot encode"),
    ({str(n): "" for n in range(33)}, ValueError, "a job has at most 32 headers, got 33"),
    ({"a": "ü" * 4096}, ValueError, "the headers of a job have at most 8,192 bytes together, got 8,193"),
]


@pytest.mark.parametrize(("headers", "kind", "text"), BAD)
def test_check_headers_names_what_is_wrong(headers: object, kind: type[Exception], text: str) -> None:
    """Headers that are no text, too many or too long are refused with the reason."""
    with pytest.raises(kind) as caught:
        check_headers(headers)
    assert str(caught.value) == text


def test_check_headers_copies() -> None:
    """A later change of the given mapping does not change the headers of a job, and empty ones are none."""
    given = {"a": "ü" * ((MAX_HEADER_BYTES - 1) // 2)} | {}
    checked = check_headers(given)
    given["b"] = "1"
    assert checked is not None
    assert list(checked) == ["a"]
    assert check_headers({}) is None
    assert check_headers(most := {str(n): "" for n in range(MAX_HEADERS)}) == most
