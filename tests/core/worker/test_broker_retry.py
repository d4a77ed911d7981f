# pyright: reportPrivateUsage=false
"""Broker calls are repeated until they succeed, and outages are logged once."""

from __future__ import annotations

import logging
from itertools import count

import anyio
import pytest

from aioq.errors import BrokerConfigError, BrokerUnavailable
from aioq.events import Events
from aioq.testing import VirtualClock
from aioq.worker.broker_retry import BrokerRetry
from tests.core.rig import settle_down


class Shop:
    """A service that answers or fails."""

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
    """The service that is called."""
    return Shop()


@pytest.fixture
def retry(clock: VirtualClock) -> BrokerRetry:
    """A `BrokerRetry` on virtual time."""
    return BrokerRetry(clock, events=Events(), worker_id="w")


DOWN = BrokerUnavailable("connection refused")


async def test_broker_retry_success_returns_answer(
    retry: BrokerRetry, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that succeeds is made once, and nothing is logged."""
    assert await retry.call(shop.ask) == 42
    assert (shop.calls, caplog.messages) == (1, [])


@pytest.mark.parametrize("error", [DOWN, BrokerConfigError("no"), OSError("reset"), TimeoutError(), ValueError("bug")])
async def test_broker_retry_failure_is_repeated_until_success(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, error: Exception
) -> None:
    """A call is repeated after every kind of error, with growing pauses, for minutes."""
    shop.error = error
    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, shop.ask)
        await clock.advance(1)
        assert shop.calls > 2
        await clock.advance(300)
        assert 300 / 5 < shop.calls < 1_000
        shop.error = None
        await clock.advance(5)


async def test_broker_retry_outage_is_logged_once(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One line is logged when an outage begins and one when it ends, however many calls fail."""
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
        "broker unavailable, retrying until it works again: connection refused",
    )
    assert caplog.record_tuples[1][1] == logging.WARNING
    assert caplog.messages[1].startswith("broker available again after 6")
    assert len(caplog.messages) == 2
    assert caplog.records[0].exc_info is None


async def test_broker_retry_next_outage_is_logged_again(
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


async def test_broker_retry_other_success_does_not_end_outage(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """While one call fails, other calls that succeed do not end the outage."""
    shop.error = DOWN
    well = Shop()
    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, shop.ask)
        for _ in range(20):
            await retry.call(well.ask)
            await clock.advance(5)
        tg.cancel_scope.cancel()
    assert len(caplog.messages) == 1


async def test_broker_retry_cancelled_call_ends_outage(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After the caller of a failing call was cancelled, the next failure is logged again."""
    shop.error = DOWN
    for _ in range(2):
        async with anyio.create_task_group() as tg:
            tg.start_soon(retry.call, shop.ask)
            await settle_down()
            tg.cancel_scope.cancel()
    assert len(caplog.messages) == 2


async def test_broker_retry_rejection_is_logged_once_a_minute(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A rejection is logged once a minute, with its traceback if it is an unexpected error."""
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


async def test_broker_retry_expected_rejection_has_no_traceback(
    retry: BrokerRetry, shop: Shop, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A rejection with an error of aioq is logged without a traceback."""
    shop.error = BrokerConfigError("wrong password")
    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, shop.ask)
        await settle_down()
        tg.cancel_scope.cancel()
    assert caplog.messages == ["broker rejected the call, retrying: wrong password"]
    assert not caplog.records[0].exc_info


async def test_broker_retry_old_rejections_are_forgotten(
    retry: BrokerRetry, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker whose every error has another text fills no memory."""
    numbers = count()

    async def refuse() -> int:
        raise ValueError(f"error {next(numbers)}")

    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, refuse)
        await clock.advance(300)
        tg.cancel_scope.cancel()
    assert next(numbers) > 100
    assert len(retry._rejections) < 100  # pyright: ignore[reportPrivateUsage]


async def test_broker_retry_outage_counts_from_first_failed_call(
    retry: BrokerRetry, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The broker may have repeated the call for a while before it raised; that time belongs to the outage."""
    shops = [Shop(), Shop()]
    async with anyio.create_task_group() as tg:
        for shop, tried_for in zip(shops, (1.0, 5.0), strict=True):
            shop.error = BrokerUnavailable("connection refused", tried_for=tried_for)
            tg.start_soon(retry.call, shop.ask)
        await settle_down()
        for shop in shops:
            shop.error = None
        await clock.advance(0.1)
    assert caplog.messages[1] in ("broker available again after 5.0 s", "broker available again after 5.1 s")


async def test_broker_retry_outage_lasts_until_last_call_succeeds(
    retry: BrokerRetry, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that answers some calls and not others is logged once, and not each time that one of them succeeds."""
    reads, writes = Shop(), Shop()
    writes.error = DOWN
    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, writes.ask)
        for _ in range(5):
            reads.error = DOWN
            tg.start_soon(retry.call, reads.ask)
            await clock.advance(5)
            reads.error = None
            await clock.advance(5)
        assert len(caplog.messages) == 1
        writes.error = None
        await clock.advance(5)
    assert len(caplog.messages) == 2


async def test_broker_retry_timeout_without_text_gets_one(
    retry: BrokerRetry, clock: VirtualClock, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """The log does not only say "TimeoutError"."""
    shop.error = TimeoutError()
    async with anyio.create_task_group() as tg:
        tg.start_soon(retry.call, shop.ask)
        await settle_down()
        tg.cancel_scope.cancel()
    assert caplog.messages == ["broker unavailable, retrying until it works again: no answer in time"]


async def test_broker_retry_limit_raises_last_error(retry: BrokerRetry, clock: VirtualClock, shop: Shop) -> None:
    """A call with a limit raises what it got last; the time before the first error counts."""
    shop.error = BrokerUnavailable("connection refused", tried_for=8.0)
    raised: list[Exception] = []

    async def call() -> None:
        try:
            await retry.repeat(shop.ask, after=DOWN if shop.error is None else shop.error, limit=10.0)
        except BrokerUnavailable as error:
            raised.append(error)

    async with anyio.create_task_group() as tg:
        tg.start_soon(call)
        await clock.advance(1)
        assert raised == []
        await clock.advance(3)
        assert raised == [shop.error]
