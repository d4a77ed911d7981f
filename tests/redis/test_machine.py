"""The Redis broker against the model of any broker, on a clock that the test moves.

The scripts run on a real server; only their line that asks for the time is another one.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from aioq.protocols import Broker
from aioq.testing.machines import BrokerMachine, LedgerMachine, ScheduleMachine
from tests.contract.examples import STEPS, examples
from tests.redis.layout import assert_consistent, keys_of
from tests.redis.virtual import VirtualBroker, pass_time

CHOSEN = settings(
    max_examples=examples(50),  # on each of three kinds of server
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    # On a real server a failing example is sooner read than shrunk.
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.usefixtures("virtual_time")
def test_broker_answers_as_the_model(raw: Any, redis_url: str, namespace: str) -> None:
    """Any sequence of calls gets the model's answers, and leaves every key in order."""

    class RedisMachine(BrokerMachine):
        """A namespace that is empty at the start of each life."""

        async def make_broker(self) -> Broker:
            return VirtualBroker(raw, redis_url, namespace)

        async def pass_time(self, seconds: float) -> None:
            pass_time(raw, seconds)

        async def clean_up(self) -> None:
            await super().clean_up()
            assert_consistent(raw, namespace)
            if keys := keys_of(raw, namespace):
                raw.delete(*keys)

    run_state_machine_as_test(RedisMachine, settings=CHOSEN)


@pytest.mark.usefixtures("virtual_time")
def test_ledger_answers_as_the_model(raw: Any, redis_url: str, namespace: str) -> None:
    """Any sequence of tick claims, runs, deploys and pauses gets the model's answers, and leaves every key in order."""

    class RedisLedgerMachine(LedgerMachine):
        """A namespace that is empty at the start of each life."""

        versions_lapse = False

        async def make_broker(self) -> Broker:
            return VirtualBroker(raw, redis_url, namespace)

        async def pass_time(self, seconds: float) -> None:
            pass_time(raw, seconds)

        async def clean_up(self) -> None:
            await super().clean_up()
            assert_consistent(raw, namespace)
            if keys := keys_of(raw, namespace):
                raw.delete(*keys)

    run_state_machine_as_test(RedisLedgerMachine, settings=CHOSEN)


@pytest.mark.usefixtures("virtual_time")
def test_schedules_answer_as_the_model(raw: Any, redis_url: str, namespace: str) -> None:
    """Any sequence of puts, reservations, firings, deploys and pauses gets the model's answers."""

    class RedisScheduleMachine(ScheduleMachine):
        """A namespace that is empty at the start of each life."""

        in_time = False

        async def make_broker(self) -> Broker:
            return VirtualBroker(raw, redis_url, namespace)

        async def pass_time(self, seconds: float) -> None:
            pass_time(raw, seconds)

        async def clean_up(self) -> None:
            await super().clean_up()
            assert_consistent(raw, namespace)
            if keys := keys_of(raw, namespace):
                raw.delete(*keys)

    run_state_machine_as_test(RedisScheduleMachine, settings=CHOSEN)
