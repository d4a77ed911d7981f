"""Defines the findings of a broker that checks its own store."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

__all__ = ["Finding", "Level"]


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    """No fault."""
    WARN = "warn"
    """Works, but may cost jobs, time or memory later; or could not be checked."""
    FAIL = "fail"
    """Jobs are lost or do not run, or soon will be."""


class Finding(Struct, frozen=True, kw_only=True):
    """The result of one check."""

    level: Level
    subject: str
    """What was checked, in one or two words: `persistence`, `queue mails`."""
    text: str
    """The result in one sentence."""
    advice: str = ""
    """What to do about it; empty only if the level is OK."""
    facts: Mapping[str, int | float | str] = {}
    """The figures of the check, for programs."""
