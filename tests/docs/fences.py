"""Finds the blocks of code in a Markdown page, with their titles and lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HIDDEN", "PAGES", "ROOT", "THIRD_PARTY", "Fence", "fences"]

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md")])

THIRD_PARTY = ROOT / "tests" / "packaging" / "third_party"
"""Example packages that pages quote, by paths that begin here."""

HIDDEN = "hidden"
"""The language of code in a comment: it runs and is not shown."""

_TITLE = re.compile(r'title="([^"]*)"')
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")


@dataclass(frozen=True)
class Fence:
    """A block of code in a page.

    Attributes:
        language: The first word after the backticks.
        title: The value of `title="..."`: the name of a file, or `Output`.
        body: The text, without its common indentation.
        line: Number of its first line in the page.
        not_run: Why it is not run; empty if it is.
    """

    page: Path
    language: str
    title: str
    body: str
    line: int
    not_run: str = ""

    @property
    def where(self) -> str:
        """Return file and line, in the form that tools print."""
        page = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page
        return f"{page}:{self.line}"

    @property
    def quoted(self) -> Path | None:
        """Return the file of an example package that the title names, or None."""
        path = THIRD_PARTY / self.title
        return path if self.title and path.is_file() else None


def fences(page: Path) -> Iterator[Fence]:
    """Yield the fences of a page from top to bottom, and the code in comments that start with `<!-- run`."""
    lines = page.read_text().splitlines()
    number, reason = 0, ""
    while number < len(lines):
        text = lines[number].strip()
        end = "-->" if text == "<!-- run" else "```" if text.startswith("```") else ""
        if not end:
            found = _NOT_RUN.fullmatch(text)
            reason = found[1] if found else reason if not text else ""
            number += 1
            continue
        body = _until(end, lines, number + 1)
        info = text.removeprefix("```") if end == "```" else HIDDEN
        title = _TITLE.search(info)
        language = info.partition(" ")[0]
        yield Fence(page, language, title[1] if title else "", _dedented(body), number + 2, reason)
        number, reason = number + len(body) + 2, ""


def _until(end: str, lines: list[str], start: int) -> list[str]:
    for number in range(start, len(lines)):
        if lines[number].strip() == end:
            return lines[start:number]
    raise ValueError(f"the block that begins in line {start} has no end")


def _dedented(lines: list[str]) -> str:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "".join(f"{line[margin:]}\n" for line in lines)
