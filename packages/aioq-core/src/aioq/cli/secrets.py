"""Passwords in URLs do not leave the process."""

from __future__ import annotations

import re

__all__ = ["masked"]

# Greedy up to the last @ before a blank or quote: a password that nobody escaped may hold @ and / itself.
_CREDENTIALS = re.compile(r"(?<=://)([^\s'\"<>:/@]*):[^\s'\"<>]*@")


def masked(text: str) -> str:
    """Return the text with `***` for every password in a URL."""
    return _CREDENTIALS.sub(r"\1:***@", text) if "://" in text else text
