"""Code that pages quote from the example packages is the code of the packages."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from tests.docs.fences import PAGES, THIRD_PARTY, Fence, fences

QUOTES = [fence for page in PAGES for fence in fences(page) if fence.title.startswith("aioq-")]


@pytest.mark.parametrize("quote", QUOTES, ids=[quote.where for quote in QUOTES])
def test_a_quotation_is_word_for_word(quote: Fence) -> None:
    """The lines stand in the file, in one piece."""
    text = (THIRD_PARTY / quote.title).read_text()
    margins = [indent(quote.body, margin) for margin in ("", "    ")]
    assert any(f"\n{lines}" in f"\n{text}" for lines in margins), f"{quote.title} has no such lines"


def test_the_packages_are_quoted() -> None:
    """Both pages are built around their packages, and quote whole lines of them."""
    assert {quote.page.stem for quote in QUOTES} == {"writing-a-broker", "writing-a-scheduler"}
    assert all(quote.body == dedent(quote.body) for quote in QUOTES)
