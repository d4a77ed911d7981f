"""How many lives the state machines live through: few in every run of the suite, many when somebody asks for it."""

from __future__ import annotations

import os

__all__ = ["STEPS", "examples"]

STEPS = 50
"""What happens in each life."""


def examples(usual: int) -> int:
    """Return how many there are to be: `AIOQ_EXAMPLES`, or the usual number without it."""
    return int(os.environ.get("AIOQ_EXAMPLES", usual))
