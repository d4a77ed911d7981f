"""The embedded broker, `memory://`."""

from aioq.backends.memory.broker import MemoryBroker as MemoryBroker

__all__ = ["MemoryBroker"]
