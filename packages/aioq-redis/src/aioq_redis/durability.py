"""How safe a job must be before `enqueue` returns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Durability"]

_FORM: Final = re.compile(r"primary|replica:([1-9]\d?)")


@dataclass(frozen=True, slots=True)
class Durability:
    """What was asked for.

    Args:
        replicas: How many copies there must be beside that of the primary.
        patience: Seconds that they may take.
    """

    replicas: int
    patience: float

    @classmethod
    def parse(cls, text: str, patience: float) -> Durability:
        """Read `primary` or `replica:N`.

        Raises:
            ValueError: It is neither.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"durability must be 'primary', or 'replica:1' to 'replica:99', got {text!r}")
        return cls(int(found[1] or 0), patience)
