"""Converts arguments and results to bytes and back, checks that nothing is lost, and signs payloads."""

__all__: list[str] = []
