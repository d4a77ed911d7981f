"""`aioq.backends` imports each broker by name, when it is first used."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

import pytest

from aioq import backends
from aioq.backends.memory import MemoryBroker


def test_backends_memory_broker_is_the_same_class() -> None:
    """`aioq.backends.MemoryBroker` is the class of `aioq.backends.memory`."""
    assert backends.MemoryBroker is MemoryBroker


def test_backends_missing_distribution_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing a broker whose package is not installed says what to install."""
    monkeypatch.setitem(sys.modules, "aioq_redis", None)
    with pytest.raises(ImportError) as caught:
        _ = backends.RedisBroker
    assert str(caught.value) == (
        "RedisBroker lives in the aioq-redis distribution, which is not installed; run: pip install aioq-redis"
    )


def test_backends_import_error_of_a_requirement_propagates(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the package is installed but a requirement of it is not, that error propagates."""

    def broken(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'redis'", name="redis")

    monkeypatch.setattr(backends, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="^No module named 'redis'$"):
        _ = backends.RedisBroker


def test_backends_installed_distribution_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name resolves to the class of the installed package."""
    fake = ModuleType("aioq_redis")
    vars(fake)["RedisBroker"] = MemoryBroker
    monkeypatch.setitem(sys.modules, "aioq_redis", fake)
    assert vars(backends).get("RedisBroker", backends.__getattr__("RedisBroker")) is MemoryBroker


def test_backends_unknown_name_raises_attribute_error() -> None:
    """Any other name raises AttributeError, as in every module."""
    module = import_module("aioq.backends")
    with pytest.raises(AttributeError, match=r"module 'aioq\.backends' has no attribute 'KafkaBroker'"):
        _ = module.KafkaBroker
    assert dir(module) == ["MemoryBroker", "RedisBroker"]
