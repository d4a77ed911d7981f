"""The entries of each deployed version, and the seconds between their ticks."""

from __future__ import annotations

__all__ = ["VERSIONS"]

VERSIONS = {"1": {"kept": 1, "changed": 2, "removed": 1}, "2": {"kept": 1, "changed": 3, "added": 1}}
