"""Who gives a command, as others will read it in the ledger."""

from __future__ import annotations

import getpass
import re
import socket

__all__ = ["hand_of", "person"]


def person() -> str:
    """Return `user@host`."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container may have no name for its user
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def hand_of(who: str) -> str:
    """Return the id under which a person's runs are recorded, where workers have theirs."""
    return re.sub(r"[^A-Za-z0-9_.@-]", "-", f"by-hand-{who}")[:200]
