"""Defines a variant of the SQLite broker that breaks the contract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["PROJECT", "Mutant"]

PROJECT = Path(__file__).parents[1] / "packaging" / "third_party" / "aioq-sqlite"
"""The package of which the mutants are variants."""


@dataclass(frozen=True)
class Mutant:
    """A variant of the broker that breaks the contract in one point.

    Attributes:
        name: A few words, joined by dashes.
        says: What the variant does, in one sentence.
        module: The file of the package that differs.
        old: The text that is replaced; it occurs once in the file.
        new: The text in its place.
    """

    name: str
    says: str
    module: str
    old: str
    new: str

    def apply(self, package: Path) -> None:
        """Change the copy of the package in a folder.

        Raises:
            ValueError: The text does not occur exactly once.
        """
        file = package / self.module
        source = file.read_text("utf-8")
        if (times := source.count(self.old)) != 1:
            raise ValueError(f"mutant {self.name}: its text occurs {times} times in {self.module}, not once")
        file.write_text(source.replace(self.old, self.new), "utf-8")
