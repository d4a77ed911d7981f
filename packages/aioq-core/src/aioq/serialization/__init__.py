"""Converts arguments and results to bytes and back, checks that types survive, and signs payloads."""

__all__: list[str] = []
