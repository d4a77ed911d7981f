"""Defines the record of what a person has changed."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

__all__ = ["MAX_CHANGES", "MAX_SUBJECT", "MAX_TEXT", "Change", "check_change"]

MAX_CHANGES: Final = 1000
"""Changes that a broker keeps; the oldest are forgotten."""

MAX_SUBJECT: Final = 300
"""Characters of a subject."""

MAX_TEXT: Final = 500
"""Characters of a note, and of each other text."""


class Change(Struct, frozen=True, kw_only=True):
    """What a person has done to a queue, a task, a job or a cron entry."""

    at: float
    """The moment on the broker's clock."""
    by: str
    """The person; commands use the user and the host."""
    what: str
    """What was done, such as `pause` or `cancel`."""
    subject: str
    """What was changed: `queue NAME`, `task QUEUE NAME`, `job QUEUE ID` or `cron QUEUE NAME`."""
    note: str = ""
    """The reason."""


def check_change(change: Change) -> None:
    """Check the texts of a change that a broker is about to store.

    Raises:
        ValueError: One is empty that must not be, or one is too long.
    """
    texts = {"by": change.by, "what": change.what, "subject": change.subject, "note": change.note}
    for name, text in texts.items():
        most = MAX_SUBJECT if name == "subject" else MAX_TEXT
        if len(text) > most or (not text and name != "note"):
            raise ValueError(f"{name} must have {0 if name == 'note' else 1} to {most} characters, got {len(text)}")
