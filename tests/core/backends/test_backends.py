"""Brokers by name, from wherever they are installed."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

import pytest

from aioq import backends
from aioq.backends.memory import MemoryBroker


def test_the_memory_broker_is_there() -> None:
    """`aioq.backends` has it, as the same class."""
    assert backends.MemoryBroker is MemoryBroker


def test_a_missing_distribution_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing a broker whose package is not installed says what to install."""
    monkeypatch.setitem(sys.modules, "aioq_redis", None)
    with pytest.raises(ImportError) as caught:
        _ = backends.RedisBroker
    assert str(caught.value) == (
        "RedisBroker lives in the aioq-redis distribution, which is not installed; run: pip install aioq-redis"
    )


def test_a_distribution_with_a_missing_requirement_says_so_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the package is there and something that it needs is not, that error comes through."""

    def broken(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'redis'", name="redis")

    monkeypatch.setattr(backends, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="^No module named 'redis'$"):
        _ = backends.RedisBroker


def test_a_present_distribution_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name leads to the class of the package."""
    fake = ModuleType("aioq_redis")
    vars(fake)["RedisBroker"] = MemoryBroker
    monkeypatch.setitem(sys.modules, "aioq_redis", fake)
    assert vars(backends).get("RedisBroker", backends.__getattr__("RedisBroker")) is MemoryBroker


def test_unknown_names_are_unknown() -> None:
    """Another name is an AttributeError, as in any module."""
    module = import_module("aioq.backends")
    with pytest.raises(AttributeError, match=r"module 'aioq\.backends' has no attribute 'KafkaBroker'"):
        _ = module.KafkaBroker
    assert dir(module) == ["MemoryBroker", "RedisBroker"]
