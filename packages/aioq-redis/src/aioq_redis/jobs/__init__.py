"""The operations on jobs: enqueue, claim, settle, look up, signal."""

__all__: list[str] = []
