"""Which methods of a protocol an object lacks, so that whoever is told can add them."""

from __future__ import annotations

__all__ = ["lacking", "members"]


def members(protocol: type) -> list[str]:
    """Return the names of a protocol's own methods, in the order in which it has them."""
    return [name for name in vars(protocol) if not name.startswith("_")]


def lacking(thing: object, protocol: type) -> list[str]:
    """Return the names of those methods of a protocol that an object does not have."""
    return [name for name in members(protocol) if getattr(thing, name, None) is None]
