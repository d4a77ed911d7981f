"""What a broker that was asked to look at itself has found."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

__all__ = ["Finding", "Level"]


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    """As it should be."""
    WARN = "warn"
    """Works, and may cost jobs, time or memory one day, or could not be looked at."""
    FAIL = "fail"
    """Jobs are lost, or do not run, or soon will be."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at, and how it stands."""

    level: Level
    subject: str
    """What was looked at, in a word or two: `persistence`, `queue mails`."""
    text: str
    """What is so, in a sentence."""
    advice: str = ""
    """What to do about it; empty only when all is well."""
    facts: Mapping[str, int | float | str] = {}
    """The figures behind it, for programs."""
