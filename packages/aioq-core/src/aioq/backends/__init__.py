"""Gives access to brokers by name; each is imported from its distribution on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aioq.backends.memory import MemoryBroker as MemoryBroker
    from aioq_redis import RedisBroker as RedisBroker

__all__ = ["MemoryBroker", "RedisBroker"]

_HOMES: Final = {
    "MemoryBroker": ("aioq.backends.memory", "aioq-core"),
    "RedisBroker": ("aioq_redis", "aioq-redis"),
}
"""By name of the broker: its module, and the distribution that contains it."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, distribution = _HOMES[name]
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        # The distribution is installed, and one of its own imports failed: that error says more.
        if error.name != module:
            raise
        raise ImportError(
            f"{name} lives in the {distribution} distribution, which is not installed; run: pip install {distribution}"
        ) from None


def __dir__() -> list[str]:
    return sorted(__all__)
