"""Starts the runs of jobs and interrupts them: by plain asyncio tasks, or by anyio's task groups."""

__all__: list[str] = []
