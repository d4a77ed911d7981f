"""The Redis broker against the model of any broker, on a clock that the test moves.

The scripts run on a real server; only their line that asks for the time is another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from aioq.job import Claim, ClaimRequest
from aioq.protocols import Broker
from aioq_redis import RedisBroker, scripts
from tests.contract.broker_machine import BrokerMachine
from tests.redis.layout import assert_consistent, keys_of

CLOCK = "local now = tonumber(redis.call('GET', 'aioq-test-clock'))\n"
"""Stands in for `lua/shared/clock.lua`."""


@pytest.fixture
def _virtual_time(monkeypatch: pytest.MonkeyPatch, raw: Any) -> Iterator[None]:
    """Let the scripts read the time from a key."""
    read = scripts._read  # pyright: ignore[reportPrivateUsage]  # the only way to the clock, and there shall be no other
    monkeypatch.setattr(scripts, "_read", lambda *path: CLOCK if path == ("shared", "clock.lua") else read(*path))
    scripts.load.cache_clear()
    raw.set("aioq-test-clock", 1_800_000_000_000)
    yield
    raw.delete("aioq-test-clock")
    scripts.load.cache_clear()


class VirtualBroker(RedisBroker):
    """A broker whose server's clock is a key."""

    def __init__(self, raw: Any, url: str, namespace: str) -> None:
        super().__init__(url, namespace=namespace)
        self._raw = raw
        self._requests: dict[str, ClaimRequest] = {}

    async def claim(self, request: ClaimRequest) -> Claim:
        """Claim, and repeat a request with the queues and the limit that it had."""
        return await super().claim(self._requests.setdefault(request.request_id, request))

    async def time(self) -> float:
        """Return the time that the scripts see, which is never the same twice: ties have no order."""
        return int(self._raw.incr("aioq-test-clock")) / 1000


@pytest.mark.usefixtures("_virtual_time")
def test_whatever_happens_is_what_the_model_says(raw: Any, redis_url: str, namespace: str) -> None:
    """Any sequence of calls gets the model's answers, and leaves every key in order."""
    lives = count(1)

    class RedisMachine(BrokerMachine):
        """A namespace of its own for each life."""

        async def make_broker(self) -> Broker:
            self.namespace = f"{namespace}-{next(lives)}"
            return VirtualBroker(raw, redis_url, self.namespace)

        async def pass_time(self, seconds: float) -> None:
            raw.incrby("aioq-test-clock", round(seconds * 1000))

        async def clean_up(self) -> None:
            await super().clean_up()
            assert_consistent(raw, self.namespace)
            if keys := keys_of(raw, self.namespace):
                raw.delete(*keys)

    chosen = settings(
        max_examples=15,
        stateful_step_count=50,
        deadline=None,
        database=None,
        # On a real server a failing example is sooner read than shrunk.
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(RedisMachine, settings=chosen)
