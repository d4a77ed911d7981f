"""The worker's line to its broker: calls are repeated, and outages told once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from itertools import count

import anyio
import pytest

from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.testing import VirtualClock
from aioq.worker.broker_retry import BrokerRetry
from tests.core.rig import settle_down

DOWN = BrokerUnavailable("connection refused")
Call = Callable[[], Awaitable[int]]


class Shop:
    """Answers, or does not."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = 0

    async def ask(self) -> int:
        """Return 42 unless there is an error to raise."""
        self.calls += 1
        if self.error:
            raise self.error
        return 42


@pytest.fixture
def shop() -> Shop:
    """Somebody to call."""
    return Shop()


@pytest.fixture
def retry(clock: VirtualClock) -> BrokerRetry:
    """A line on virtual time."""
    return BrokerRetry(clock)


async def test_an_answer_is_returned(retry: BrokerRetry, shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """When all is well there is one call and not a word."""
    assert await retry.call(shop.ask) == 42
    assert (shop.calls, caplog.messages) == (1, [])


@pytest.mark.parametrize("error", [DOWN, BrokerConfigError("no"), OSError("reset"), TimeoutError(), ValueError("bug")])
async def test_a_call_is_repeated_until_it_succeeds(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, error: Exception
) -> None:
    """Whatever is raised, more and more patiently: after minutes it is still trying."""
    shop.error = error
    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, shop.ask)
        await clock.advance(1)
        assert shop.calls > 2
        await clock.advance(300)
        assert 300 / 5 < shop.calls < 1_000
        shop.error = None
        await clock.advance(5)


async def test_an_outage_is_told_once(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One line when it begins and one when it ends, however many calls fail meanwhile."""
    shop.error = DOWN
    async with anyio.create_task_group() as tg:
        for _ in range(5):
            tg.start_soon(retry.call, shop.ask)
        await clock.advance(60)
        shop.error = None
        await clock.advance(5)
    assert caplog.record_tuples[0] == (
        "aioq.worker",
        logging.ERROR,
        "broker unreachable, retrying until it answers: connection refused",
    )
    assert caplog.record_tuples[1][1] == logging.WARNING
    assert caplog.messages[1].startswith("broker reachable again after 6")
    assert len(caplog.messages) == 2
    assert caplog.records[0].exc_info is None


async def test_the_next_outage_is_news_again(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each outage has its own two lines."""
    for _ in range(2):
        shop.error = DOWN
        async with anyio.create_task_group() as tg:
            tg.start_soon(retry.call, shop.ask)
            await clock.advance(60)
            shop.error = None
            await clock.advance(5)
    assert len(caplog.messages) == 4


async def test_one_call_that_fails_alone_does_not_flap(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Others succeeding beside it are no sign that the outage is over."""
    shop.error = DOWN
    well = Shop()
    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, shop.ask)
        for _ in range(20):
            await retry.call(well.ask)
            await clock.advance(5)
        tg.cancel_scope.cancel()
    assert len(caplog.messages) == 1


async def test_a_call_that_is_given_up_leaves_no_outage_behind(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After its caller was cancelled the next failure is told again."""
    shop.error = DOWN
    for _ in range(2):
        async with anyio.create_task_group() as tg:
            tg.start_soon(retry.call, shop.ask)
            await settle_down()
            tg.cancel_scope.cancel()
    assert len(caplog.messages) == 2


async def test_a_refusal_is_no_outage(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker answers, but will not: said once a minute, with the traceback if nobody foresaw it."""
    shop.error = ValueError("bug\nhere")
    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, shop.ask)
        await clock.advance(50)
        assert caplog.messages == ["broker rejected the call, retrying: bug\\nhere"]
        assert caplog.records[0].exc_info is not None
        await clock.advance(15)
        assert len(caplog.messages) == 2
        shop.error = None
        await clock.advance(5)
    assert len(caplog.messages) == 2


async def test_foreseen_refusals_have_no_traceback(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker's own words are enough."""
    shop.error = BrokerConfigError("wrong password")
    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, shop.ask)
        await settle_down()
        tg.cancel_scope.cancel()
    assert caplog.messages == ["broker rejected the call, retrying: wrong password"]
    assert not caplog.records[0].exc_info


async def test_refusals_are_not_remembered_for_ever(
    retry: BrokerRetry, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker whose every error reads differently fills no memory."""
    numbers = count()

    async def refuse() -> int:
        raise ValueError(f"error {next(numbers)}")

    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, refuse)
        await clock.advance(300)
        tg.cancel_scope.cancel()
    assert next(numbers) > 100
    assert len(retry._rejections) < 100  # pyright: ignore[reportPrivateUsage]
