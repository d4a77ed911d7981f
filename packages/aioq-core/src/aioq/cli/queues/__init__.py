"""`aioq queues`: one module per command."""

__all__: list[str] = []
