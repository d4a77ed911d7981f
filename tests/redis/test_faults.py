"""Whatever happens to whichever command on its way, and at whatever point: it is done, once, and no more than that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

import aioq_redis.client.client
from aioq.errors import BrokerFull
from aioq_redis import RedisBroker
from aioq_redis.storage.scripts import NAMES, load
from tests import servers
from tests.redis.control_operations import CONTROL_OPERATIONS, ControlOperation
from tests.redis.job_helpers import claim
from tests.redis.layout import assert_consistent, keys_of
from tests.redis.operations import OPERATIONS, Operation
from tests.redis.proxy import Fault, Proxy, When
from tests.redis.tick_operations import TICK_OPERATIONS, TickOperation

TRANSIENT = {
    "LOADING": b"-LOADING Redis is loading the dataset in memory\r\n",
    "READONLY": b"-READONLY You can't write against a read only replica.\r\n",
    "NOSCRIPT": b"-NOSCRIPT No matching script. Please use EVAL.\r\n",
    "CLUSTERDOWN": b"-CLUSTERDOWN The cluster is down\r\n",
    "MOVED": b"-MOVED 3999 127.0.0.1:6381\r\n",
    "ASK": b"-ASK 3999 127.0.0.1:6381\r\n",
    "BUSY": b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n",
    "TRYAGAIN": b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    "MASTERDOWN": b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    "NOREPLICAS": b"-NOREPLICAS Not enough good replicas to write.\r\n",
}
AnyOperation: TypeAlias = Operation | TickOperation | ControlOperation
FULL = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
EVERY: list[AnyOperation] = [*OPERATIONS, *TICK_OPERATIONS, *CONTROL_OPERATIONS]
every_operation = pytest.mark.parametrize("operation", EVERY, ids=lambda operation: operation.name)


@pytest.fixture(scope="session")
def redis_kind() -> str:
    """One kind of server will do: how connections break does not depend on it."""
    return servers.first()


@pytest.fixture
def behind(
    proxy: Proxy, make_broker: Callable[..., RedisBroker], raw: Any, monkeypatch: pytest.MonkeyPatch
) -> RedisBroker:
    """A broker behind the proxy that is soon out of patience; the server knows all scripts."""
    monkeypatch.setattr(aioq_redis.client.client, "silence_limit", lambda timeout: 0.2)
    for name in NAMES:
        raw.script_load(load(name).text)
    return make_broker(proxy.url)


@every_operation
@pytest.mark.parametrize("when", When, ids=lambda when: when.name.lower())
@pytest.mark.parametrize("silent", [False, True], ids=["cut", "silent"])
async def test_operation_cut_off_is_done_once(
    behind: RedisBroker, proxy: Proxy, operation: AnyOperation, when: When, silent: bool
) -> None:
    """The connection breaks before the command arrives, before the reply or within it, with a reset or silently."""
    needed = await operation.prepare(behind)
    assert await operation.seen(behind) == operation.seen_before
    fault = Fault(operation.word, when, silent)
    proxy.fail(fault)
    assert await operation.call(behind, needed) in operation.answers
    assert proxy.is_over(fault)
    assert await operation.seen(behind) == operation.seen_after
    assert await claim(behind, 5, worker="w2") == [] or operation.leaves_work


@every_operation
@pytest.mark.parametrize("error", TRANSIENT)
async def test_operation_retries_a_transient_error(
    behind: RedisBroker, proxy: Proxy, operation: AnyOperation, error: str
) -> None:
    """The caller does not see the error, and the operation is done once."""
    needed = await operation.prepare(behind)
    proxy.answer(operation.word, TRANSIENT[error])
    assert await operation.call(behind, needed) in operation.answers
    assert TRANSIENT[error] in proxy.answered
    assert await operation.seen(behind) == operation.seen_after


@pytest.mark.parametrize(
    # A full server still lets workers wait; what it says of the claim behind is asked for. It takes settlements too.
    "operation",
    [each for each in EVERY if each.atomic and each.name != "wait and claim" and each.script != "settle"],
    ids=lambda each: each.name,
)
async def test_operation_on_a_full_server_raises_broker_full(
    behind: RedisBroker, proxy: Proxy, operation: AnyOperation
) -> None:
    """The operation is not retried, nothing is done, and the same call succeeds when there is room."""
    needed = await operation.prepare(behind)
    proxy.answer(operation.word, FULL)
    async with asyncio.timeout(1):
        with pytest.raises(BrokerFull, match="is full: it has reached its maxmemory"):
            await operation.call(behind, needed)
    assert await operation.seen(behind) == operation.seen_before
    assert await operation.call(behind, needed) in operation.answers
    assert await operation.seen(behind) == operation.seen_after


@pytest.mark.parametrize("operation", [each for each in EVERY if each.script == "settle"], ids=lambda each: each.name)
async def test_settlement_that_a_full_server_refuses_is_sent_again(
    behind: RedisBroker, proxy: Proxy, operation: Operation
) -> None:
    """The broker reports the outcome once more at once, in a form that the full server takes."""
    needed = await operation.prepare(behind)
    proxy.answer(operation.word, FULL)
    async with asyncio.timeout(1):
        assert await operation.call(behind, needed) in operation.answers
    assert FULL in proxy.answered
    seen, expected = await operation.seen(behind), operation.seen_after
    assert (seen and seen[0]) == (expected and expected[0])


async def cancelled_after(call: Callable[[], Any], steps: int) -> bool:
    """Make a call and cancel it after some steps of the event loop; False when it had ended before."""
    task = asyncio.ensure_future(call())
    for _ in range(steps):
        await asyncio.sleep(0)
        if task.done():
            break
    if task.done():
        await task
        return False
    task.cancel()
    await asyncio.wait([task])
    return True


@pytest.mark.parametrize(
    "operation", [each for each in EVERY if each.name != "extend from a thread"], ids=lambda each: each.name
)
async def test_operation_cancelled_at_any_step_leaves_order(
    make_broker: Callable[..., RedisBroker], raw: Any, namespace: str, operation: AnyOperation
) -> None:
    """After any number of steps the operation is done or not, and the next call gets its own answer."""
    steps = 0
    while True:
        broker = make_broker(namespace=f"{namespace}-{steps}")
        needed = await operation.prepare(broker)
        interrupted = await cancelled_after(lambda: operation.call(broker, needed), steps)  # noqa: B023  # at once
        assert await operation.seen(broker) in (operation.seen_before, operation.seen_after)
        assert await broker.time() > 1_000_000_000
        assert [stats.queue for stats in await broker.queue_stats()] in ([], ["q"])
        await broker.close()
        assert_consistent(raw, f"{namespace}-{steps}")
        if keys := keys_of(raw, f"{namespace}-{steps}"):
            raw.delete(*keys)
        if not interrupted:
            break
        steps += 1
    assert steps > 1
