"""Defines how values are stored in Redis: keys, formats of records, retention and scripts."""

__all__: list[str] = []
