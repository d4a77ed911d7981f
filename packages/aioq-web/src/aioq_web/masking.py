"""Hides secrets in the arguments and results that pages show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from markupsafe import Markup

from aioq.serialization.failure import one_line

__all__ = ["Masking", "Shown"]

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"

SECRET_NAMES: Final = ("password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "credential")
"""Parts of names whose values are hidden by default."""

DOTS: Final = "••••••"
MAX_DECODED: Final = 262_144
"""Bytes of arguments that are decoded; longer ones are shown as text that is cut."""
MAX_SHOWN: Final = 20_000
"""Characters that are shown."""
MAX_LINE: Final = 300
"""Characters in a list."""
SIGNED: Final = b"s1 "
MAX_NODES: Final = 5_000
"""Values that are looked at."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Arguments or a result as a page shows them."""

    html: Markup
    text: str
    """The same in one line, for lists."""
    masked: bool
    """Whether something is hidden."""
    cut: bool = False
    """Whether there is more."""


class Masking:
    """Decides by the names of values which of them are secret.

    Args:
        names: Parts of names, in any case.
    """

    def __init__(self, names: Iterable[str] = SECRET_NAMES) -> None:
        self._names = re.compile("|".join(re.escape(name) for name in names) or r"(?!)", re.IGNORECASE)

    def show(self, data: bytes) -> Shown:
        """Return encoded arguments or a result as a page may show them.

        Args:
            data: JSON, perhaps signed; anything else is shown as text, and hidden if a name in it is secret.
        """
        try:
            hidden = self._masked(_decoded(data), _Budget(MAX_NODES))
        except (ValueError, RecursionError):
            return self._raw(data)
        full = json.dumps(hidden, ensure_ascii=False, indent=2)
        line = one_line(json.dumps(hidden, ensure_ascii=False), MAX_LINE)
        return Shown(_highlight(full[:MAX_SHOWN]), line, DOTS in full, len(full) > MAX_SHOWN)

    def _raw(self, data: bytes) -> Shown:
        text = data[:MAX_SHOWN].decode("utf-8", "backslashreplace")
        if self._names.search(text):
            return Shown(Markup("<mark>{}</mark>").format(DOTS), DOTS, masked=True)
        return Shown(Markup("{}").format(text), one_line(text, MAX_LINE), masked=False, cut=len(data) > MAX_SHOWN)

    def _masked(self, value: Json, budget: _Budget) -> Json:
        if not budget.spend():
            return "..."
        if isinstance(value, dict):
            return {key: self._masked_item(key, each, budget) for key, each in value.items()}
        if isinstance(value, list):
            return [self._masked(each, budget) for each in value]
        return value

    def _masked_item(self, key: str, value: Json, budget: _Budget) -> Json:
        return DOTS if value is not None and self._names.search(key) else self._masked(value, budget)


class _Budget:
    """Counts the values that may still be looked at: arguments may hold millions."""

    def __init__(self, size: int) -> None:
        self._left = size

    def spend(self) -> bool:
        self._left -= 1
        return self._left >= 0


def _decoded(data: bytes) -> Json:
    """Return what JSON says.

    Raises:
        ValueError: It is too long, or no JSON.
        RecursionError: It is nested too deeply.
    """
    if len(data) > MAX_DECODED:
        raise ValueError("too long")
    # A signed call has its signature in a line of its own.
    text = data.partition(b"\n")[2] if data.startswith(SIGNED) else data
    value: Json = json.loads(text)
    return value


def _highlight(text: str) -> Markup:
    return Markup("").join(_parts(text))


def _parts(text: str) -> Iterator[Markup]:
    for part in re.split(f"({DOTS})", text):
        yield Markup("<mark>{}</mark>").format(part) if part == DOTS else Markup("{}").format(part)
