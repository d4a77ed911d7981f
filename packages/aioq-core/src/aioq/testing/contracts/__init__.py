"""Contains one conformance suite for each protocol."""

__all__: list[str] = []
