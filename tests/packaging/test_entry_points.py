"""The entry points and the metadata of the distributions."""

from __future__ import annotations

from importlib.metadata import distribution, entry_points

import pytest

from aioq.backends import MemoryBroker, RedisBroker
from aioq_cron import CronScheduler

REDIS_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys")


def test_broker_entry_points_by_scheme() -> None:
    """Each scheme leads to its class, and to the distribution that has it."""
    found = {point.name: (point.dist and point.dist.name, point.load()) for point in entry_points(group="aioq.brokers")}
    ours = {"memory": ("aioq-core", MemoryBroker), **dict.fromkeys(REDIS_SCHEMES, ("aioq-redis", RedisBroker))}
    assert {name: found.get(name) for name in ours} == ours


def test_scheduler_entry_point_by_name() -> None:
    """The entry point `cron` is the scheduler of aioq-cron."""
    (point,) = entry_points(group="aioq.schedulers", name="cron")
    assert point.load() is CronScheduler


def test_only_the_core_has_a_command() -> None:
    """The core has the command `aioq`, and no other distribution has a command."""
    (point,) = entry_points(group="console_scripts", name="aioq")
    assert (point.value, point.dist and point.dist.name) == ("aioq.cli:main", "aioq-core")


@pytest.mark.parametrize(
    "name", ["aioq", "aioq-core", "aioq-cron", "aioq-otel", "aioq-prometheus", "aioq-redis", "aioq-web"]
)
def test_installed_metadata_is_complete(name: str) -> None:
    """The metadata have a description, the licence and the supported Pythons."""
    metadata = distribution(name).metadata
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("MIT", ">=3.11")
    assert metadata["Summary"]
    assert metadata["Description-Content-Type"] == "text/markdown"
