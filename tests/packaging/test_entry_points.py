"""What the distributions announce is there, and is what it should be."""

from __future__ import annotations

from importlib.metadata import distribution, entry_points

import pytest

from aioq.backends import MemoryBroker, RedisBroker
from aioq_cron import CronScheduler

REDIS_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys")


def test_brokers_are_found_by_their_scheme() -> None:
    """Each scheme leads to its class, and to the distribution that brings it."""
    found = {point.name: (point.dist and point.dist.name, point.load()) for point in entry_points(group="aioq.brokers")}
    ours = {"memory": ("aioq-core", MemoryBroker), **dict.fromkeys(REDIS_SCHEMES, ("aioq-redis", RedisBroker))}
    assert {name: found.get(name) for name in ours} == ours


def test_the_scheduler_is_found_by_its_name() -> None:
    """`cron` is what aioq-cron brings."""
    (point,) = entry_points(group="aioq.schedulers", name="cron")
    assert point.load() is CronScheduler


def test_there_is_one_command() -> None:
    """`aioq` comes with the core, and no other distribution brings a command."""
    (point,) = entry_points(group="console_scripts", name="aioq")
    assert (point.value, point.dist and point.dist.name) == ("aioq.cli:main", "aioq-core")


@pytest.mark.parametrize("name", ["aioq", "aioq-core", "aioq-cron", "aioq-redis"])
def test_installed_metadata_is_complete(name: str) -> None:
    """Someone who looks at the index sees what it is, under which licence, and for which Pythons."""
    metadata = distribution(name).metadata
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("MIT", ">=3.11")
    assert metadata["Summary"]
    assert metadata["Description-Content-Type"] == "text/markdown"
