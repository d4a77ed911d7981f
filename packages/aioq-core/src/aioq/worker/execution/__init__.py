"""Starts and interrupts jobs: with plain asyncio tasks, or with anyio task groups."""

__all__: list[str] = []
