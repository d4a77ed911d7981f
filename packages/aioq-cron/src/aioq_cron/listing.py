"""Numbers and words in a row, as a person would read them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

__all__ = ["joined", "listed", "shortened", "spans", "stride"]

_SHORTEST_SPAN = 3
_LONGEST_LIST = 8


def joined(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def shortened(words: Sequence[str], most: int) -> str:
    """Return words in a row: of more than `most` the first few, and how many more there are."""
    if len(words) <= most:
        return joined(words)
    return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} more"


def listed(values: Sequence[int], word: Callable[[int], str] = str) -> str:
    """Return ascending numbers as words: all of them, as spans, or as steps; nothing is left out.

    `1 to 5 and 9`, or `0 to 56 in steps of 7` for many that are equally far apart.
    """
    step = stride(values)
    if step > 1 and len(values) > _LONGEST_LIST:
        return f"{word(values[0])} to {word(values[-1])} in steps of {step}"
    words = list[str]()
    for first, last in spans(values):
        if last - first + 1 < _SHORTEST_SPAN:
            words += [word(value) for value in range(first, last + 1)]
        else:
            words.append(f"{word(first)} to {word(last)}")
    return joined(words)


def spans(values: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of each run of consecutive numbers."""
    first = values[0]
    for value, following in zip(values, [*values[1:], None], strict=True):
        if following != value + 1:
            yield first, value
            first = following or 0


def stride(values: Sequence[int]) -> int:
    """Return how far apart numbers are, if all neighbours are equally far; else, and for a single one, 0."""
    steps = {later - earlier for earlier, later in pairwise(values)}
    return steps.pop() if len(steps) == 1 else 0
