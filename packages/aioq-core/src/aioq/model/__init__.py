"""The values that pass between clients, brokers and workers: frozen, and free of logic."""

__all__: list[str] = []
