"""The counts of jobs: what processes report of them, and what is read."""

__all__: list[str] = []
