"""Cuts lists into pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from aioq_web.view import View

__all__ = ["Slice", "page_number", "slice_of"]

T = TypeVar("T")

MAX_PAGE = 100_000


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """One page of a list.

    Args:
        items: What is on the page.
        page: Its number, from 1.
        pages: The number of pages; None if it is not known.
        total: The number of items; None if it is not known.
        more: Whether another page follows.
    """

    items: Sequence[T]
    page: int
    pages: int | None = None
    total: int | None = None
    more: bool = False


def page_number(view: View) -> int:
    """Return the number of the page that a request asks for; 1 if it is no number."""
    text = view.query.get("page", "1")
    return min(max(int(text), 1), MAX_PAGE) if text.isascii() and text.isdecimal() and len(text) < 7 else 1


def slice_of(view: View, items: Sequence[T], size: int) -> Slice[T]:
    """Return the page of a list that a request asks for; the last one if there are fewer."""
    pages = max(1, -(-len(items) // size))
    page = min(page_number(view), pages)
    return Slice(items[(page - 1) * size : page * size], page, pages, len(items), page < pages)
