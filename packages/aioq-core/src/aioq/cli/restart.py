"""How to start the command `aioq` once more, as it was started here."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["again"]


def again(words: Sequence[str], instead: Sequence[str]) -> list[str]:
    """Return the command line of this process, with other words in place of those of `aioq`.

    The same interpreter with the same options, and the same script or module.
    """
    started = sys.orig_argv
    at = len(started) - len(words)
    mine = started[1:at] if at > 1 and started[at:] == list(words) else ["-m", "aioq"]
    return [sys.executable, *mine, *instead]
