"""What a client remembers of enqueue calls with an unknown outcome: for a while, and not without end."""

from __future__ import annotations

from aioq_redis.client.url import Durability, Settings
from aioq_redis.jobs.deduplication import MAX_JOBS, MAX_UNHEARD, REMEMBER_FOR, Doubts, Request, format_places
from aioq_redis.jobs.enqueue_batches import EnqueueBatcher
from aioq_redis.role import KnownQueues
from aioq_redis.storage.database import Database
from aioq_redis.storage.keys import Layout


def new_batcher() -> EnqueueBatcher:
    """Return a batcher that has sent nothing, and is not connected; call it from a coroutine."""
    database = Database(
        Settings.from_url("redis://localhost"), timeout=1.0, durability=Durability.parse("primary", 1.0)
    )
    layout = Layout("test")
    return EnqueueBatcher("q", database, layout, KnownQueues(layout))


def number(n: int) -> str:
    """Return a number as it is sent: as texts, too, the later of two is the greater."""
    return f"{n:012}"


def call(*ids: str, payload: bytes = b"1", options: bytes = b"") -> list[object]:
    """Return the arguments of a call."""
    return [part for id in ids for part in (id, "5", b"task " + options + b"\n" + payload)]


def sent(batcher: EnqueueBatcher, calls: int = 1) -> Request:
    """Return a request that has been sent."""
    request = Request(unheard=calls)
    batcher.number(request)
    return request


def doubted(batcher: EnqueueBatcher, *ids: str, now: float = 0.0) -> Request:
    """Return a request whose one call has failed."""
    request = sent(batcher)
    batcher.doubts.add(request, 0, call(*ids), now)
    return request


def unheard(batcher: EnqueueBatcher) -> str:
    """Return the numbers that the next request names."""
    return batcher.number(Request())[1]


def places(doubts: Doubts, args: list[object], now: float = 0.0) -> str:
    """Return where the jobs of a call were sent before, as the script is told."""
    return format_places(doubts.find(args, now))


async def test_number_grows_and_names_unheard_requests() -> None:
    """Each request names an earlier one until every call in that one has heard the answer."""
    batcher = new_batcher()
    first = sent(batcher, calls=2)
    assert batcher.number(Request()) == (number(2), number(1))
    batcher.hear(first)
    assert unheard(batcher) == number(1)
    batcher.hear(first)
    assert unheard(batcher) == ""


async def test_number_of_a_request_sent_again_replaces_the_first() -> None:
    """The script did nothing under the first number, so later requests do not name it."""
    batcher = new_batcher()
    request = sent(batcher)
    batcher.number(request)
    assert request.number == number(2)
    assert unheard(batcher) == number(2)


async def test_find_returns_the_places_of_a_job_in_doubt() -> None:
    """A job is found in all earlier requests with other options, and not with other arguments."""
    batcher = new_batcher()
    doubted(batcher, "a", "b")
    doubted(batcher, "b")
    both = f"{number(1)}.2 {number(2)}.1 ;"
    assert places(batcher.doubts, call("x", "b")) == f"2:{both}"
    assert places(batcher.doubts, call("b", options=b'{"p":9}')) == f"1:{both}"
    assert places(batcher.doubts, call("b", payload=b"2")) == ""


async def test_settle_ends_the_doubt_about_a_job() -> None:
    """When all jobs of a call are settled, later requests do not name its request."""
    batcher = new_batcher()
    doubted(batcher, "a", "b")
    batcher.settle(call("a"))
    assert batcher.doubts.places
    assert unheard(batcher) == number(1)
    batcher.settle(call("b"))
    assert not batcher.doubts.places
    assert unheard(batcher) == ""


async def test_settle_counts_a_call_with_an_id_twice_once() -> None:
    """A call that has one id twice is one call of its request."""
    batcher = new_batcher()
    request = sent(batcher, calls=2)
    batcher.doubts.add(request, 0, call("a", "a"), 0.0)
    batcher.settle(call("a", "a"))
    assert request.unheard == 1


async def test_find_of_a_request_never_sent_returns_no_place() -> None:
    """A call that failed while it waited for others to be answered has no earlier request to name."""
    batcher = new_batcher()
    batcher.doubts.add(Request(unheard=1), 0, call("a"), 0.0)
    assert places(batcher.doubts, call("a")) == "1:;"


async def test_doubts_are_forgotten_after_a_minute() -> None:
    """Jobs and numbers of a call are forgotten when its time is up."""
    batcher = new_batcher()
    doubted(batcher, "a", now=0.0)
    doubted(batcher, "b", now=1.0)
    assert places(batcher.doubts, call("a"), REMEMBER_FOR) == ""
    assert places(batcher.doubts, call("b"), REMEMBER_FOR) == f"1:{number(2)}.1 ;"
    assert unheard(batcher) == number(2)


async def test_oldest_doubts_are_forgotten_beyond_a_limit() -> None:
    """The number of jobs in doubt is limited, and that of the requests that a request names."""
    batcher = new_batcher()
    doubted(batcher, "a")
    for n in range(MAX_UNHEARD):
        doubted(batcher, f"number-{n}")
    assert len(unheard(batcher).split()) == MAX_UNHEARD
    assert places(batcher.doubts, call("a")) == ""
    doubted(batcher, *(f"job-{n}" for n in range(MAX_JOBS)))
    assert places(batcher.doubts, call("number-99")) == ""
    assert places(batcher.doubts, call("job-0")) != ""


async def test_retire_job_in_doubt_is_kept() -> None:
    """A client that has used many queues forgets one only if no job in it is in doubt, and no call uses it."""
    batcher = new_batcher()
    now = batcher.session.loop.time()
    doubted(batcher, "a", now=now)
    assert batcher.retire() is False
    batcher.doubts.settle(call("a"))
    assert batcher.retire() is True
    batcher.users = 1
    assert batcher.retire() is False
    batcher.users = 0
    doubted(batcher, "b", now=now - REMEMBER_FOR)
    assert batcher.retire() is True
