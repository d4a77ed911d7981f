"""Open pages: one reader of the broker for all, a pace that bounds their cost, a slow broker, and a deploy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from importlib import import_module

import anyio
import httpx
import pytest
from starlette.responses import StreamingResponse

from aioq.backends import MemoryBroker
from aioq.errors import BrokerUnavailable
from aioq.testing import VirtualClock
from aioq_web import User, dashboard
from aioq_web.live import INTERVAL, SLOWEST, Live, Pace
from aioq_web.reads import SharedReads
from aioq_web.snapshot import MAX_AGE, OLDEST, age_for
from aioq_web.view import NotFound
from tests.web.site import ALL_RIGHTS, Shop
from tests.web.steering import reading


async def test_readers_at_the_same_time_wait_for_one_answer() -> None:
    """Ten requests with the same question ask the broker once, and one with another question asks for itself."""
    reads, asked, may_answer = SharedReads(VirtualClock()), [], anyio.Event()

    async def read() -> int:
        asked.append(1)
        await may_answer.wait()
        return 7

    answers: list[int] = []

    async def get(key: str) -> None:
        answers.append(await reads.get(key, read, max_age=2.0))

    async with anyio.create_task_group() as tg:
        for key in ["queues"] * 10 + ["workers"]:
            tg.start_soon(get, key)
        await anyio.wait_all_tasks_blocked()
        may_answer.set()
    assert (answers, len(asked)) == ([7] * 11, 2)


async def test_answer_is_used_for_its_age_and_forgotten_after_a_change() -> None:
    """A page that is opened asks anew, one that is updated takes an answer of the latest seconds."""
    clock, asked = VirtualClock(), 0
    reads = SharedReads(clock)

    async def read() -> int:
        nonlocal asked
        asked += 1
        return asked

    assert await reads.get("key", read, max_age=2.0) == 1
    await clock.advance(1.5)
    assert await reads.get("key", read, max_age=2.0) == 1
    assert await reads.get("key", read, max_age=0.0) == 2
    reads.forget()
    assert await reads.get("key", read, max_age=2.0) == 3


async def test_error_of_the_broker_is_not_kept() -> None:
    """The next request asks again, and the lock is free."""
    reads = SharedReads(VirtualClock())

    async def fail() -> int:
        raise BrokerUnavailable("away")

    async def answer() -> int:
        return 1

    with pytest.raises(BrokerUnavailable):
        await reads.get("key", fail, max_age=2.0)
    assert await reads.get("key", answer, max_age=2.0) == 1


def test_pace_bounds_the_share_of_all_open_pages() -> None:
    """Cheap pages are updated every two seconds; dear ones so that all of them take a hundredth of the time."""
    pace = Pace()
    with pace.opened():
        assert pace.pause(0.001) == INTERVAL
        assert pace.pause(0.05) == pytest.approx(5.0)
        with pace.opened():
            assert pace.pause(0.05) == pytest.approx(10.0)
        assert pace.pause(9.0) == SLOWEST
    assert pace.pause(9.0) == INTERVAL


def test_snapshot_of_many_queues_is_used_longer_by_open_pages() -> None:
    """A page that is opened gets a new snapshot at any cost; open pages share one for a hundred times what it took."""
    assert age_for(0.0, 0.5) == MAX_AGE
    assert age_for(INTERVAL, 0.001) == INTERVAL
    assert age_for(INTERVAL, 0.1) == pytest.approx(10.0)
    assert age_for(INTERVAL, 5.0) == OLDEST


async def events_of(response: StreamingResponse, count: int) -> list[tuple[str, str]]:
    """Return the first events of a stream."""
    found: list[tuple[str, str]] = []
    iterator: AsyncIterator[str] = response.body_iterator  # type: ignore[assignment]
    async with aclosing(iterator) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            lines = dict(line.split(": ", 1) for line in chunk.strip().splitlines())
            found.append((lines["event"], json.loads(lines["data"])))
            if len(found) == count:
                break
    return found


async def test_stream_says_that_the_broker_is_away_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that does not answer, or is away, is told; the stream goes on when it answers."""
    monkeypatch.setattr("aioq_web.live.TIMEOUT", 0.05)
    monkeypatch.setattr("aioq_web.live.INTERVAL", 0.0)
    turn = 0

    async def render() -> tuple[str, float]:
        nonlocal turn
        turn += 1
        if turn == 1:
            await anyio.sleep_forever()
        if turn == 2:
            raise BrokerUnavailable("away")
        return "<p>here</p>", 0.0

    found = await events_of(Live("v1").response(render), 4)
    assert found == [("version", "v1"), ("away", ""), ("away", ""), ("page", "<p>here</p>")]


async def test_stream_of_something_that_is_gone_ends() -> None:
    """The record of a job may expire while its page is open: that is not the broker that is away."""

    async def render() -> tuple[str, float]:
        raise NotFound("its record has expired")

    assert await events_of(Live("v1").response(render), 3) == [("version", "v1"), ("gone", "its record has expired")]


class SilentBroker(MemoryBroker):
    """A broker that does not answer questions about its queues while it is silent."""

    silent = False

    async def queue_stats(self) -> list:  # type: ignore[type-arg]
        """Return the counts of queues, or never."""
        if self.silent:
            await anyio.sleep_forever()
        return await super().queue_stats()


async def test_page_of_silent_broker_says_so_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that wait for a broker do not wait for each other: each has its own time, and then a page that says it."""
    # By its module: the package has a function of the same name.
    monkeypatch.setattr(import_module("aioq_web.dashboard"), "TIMEOUT", 0.05)
    broker = SilentBroker()
    async with reading(Shop(broker).app) as reader:
        broker.silent = True
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await reader.client.get("/queues"))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tg:
                for _ in range(5):
                    tg.start_soon(ask)
        assert {answer.status_code for answer in answers} == {503}
        assert "The broker did not answer" in answers[0].text
        broker.silent = False
        assert (await reader.client.get("/queues")).status_code == 200


async def test_form_of_the_release_before_is_accepted() -> None:
    """A browser keeps its token over a deploy: the new dashboard takes the form of a page that the old one has made."""
    shop = Shop()
    async with reading(shop.app) as before:
        job = await shop.export.enqueue("file")
        await before.client.get("/jobs")
        after = httpx.ASGITransport(dashboard(shop.app, access=lambda request: User("ada", ALL_RIGHTS)))
        cookies = before.client.cookies
        async with httpx.AsyncClient(transport=after, base_url="http://shop.example", cookies=cookies) as client:
            answer = await client.post(f"/jobs/exports/{job.id}/cancel", data={"token": cookies["aioq_token"]})
        assert answer.status_code == 303
        assert await job.state() == "cancelled"
