"""The pages quote the example packages word for word."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from tests.docs.fences import PAGES, THIRD_PARTY, Fence, fences

QUOTES = [fence for page in PAGES for fence in fences(page) if fence.title.startswith("aioq-")]


@pytest.mark.parametrize("quote", QUOTES, ids=[quote.where for quote in QUOTES])
def test_quoted_lines_are_in_the_file(quote: Fence) -> None:
    """The lines are in the file, in one piece."""
    text = (THIRD_PARTY / quote.title).read_text()
    margins = [indent(quote.body, margin) for margin in ("", "    ")]
    assert any(f"\n{lines}" in f"\n{text}" for lines in margins), f"{quote.title} has no such lines"


def test_pages_quote_their_packages() -> None:
    """These pages quote whole lines of their package."""
    assert {quote.page.stem for quote in QUOTES} == {"testing-a-broker", "writing-a-broker", "writing-a-scheduler"}
    assert all(quote.body == dedent(quote.body) for quote in QUOTES)
