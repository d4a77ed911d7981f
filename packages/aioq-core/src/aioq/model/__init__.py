"""Defines the values that clients, brokers and workers exchange: frozen, and free of logic."""

__all__: list[str] = []
