"""The number of examples that the state machines run: few by default, more with AIOQ_EXAMPLES."""

from __future__ import annotations

import os

__all__ = ["STEPS", "examples"]

STEPS = 50
"""Steps of an example."""


def examples(usual: int) -> int:
    """Return the number of examples: `AIOQ_EXAMPLES`, or the usual number without it."""
    return int(os.environ.get("AIOQ_EXAMPLES", usual))
