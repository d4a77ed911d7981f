"""What a client remembers of calls that were not answered: for a while, and not without end."""

from __future__ import annotations

from aioq_redis.jobs.deduplication import MOST_JOBS, MOST_NUMBERS, REMEMBERED, Request, Requests, shown


def number(n: int) -> str:
    """Return a number as it is sent: of them the later is greater as a text, too."""
    return f"{n:012}"


def call(*ids: str, payload: bytes = b"1", options: bytes = b"") -> list[object]:
    """Return the arguments of a call."""
    return [part for id in ids for part in (id, "5", b"task " + options + b"\n" + payload)]


def sent(requests: Requests, calls: int = 1) -> Request:
    """Return a request that has been sent."""
    request = Request()
    request.unheard = calls
    requests.number(request)
    return request


def doubted(requests: Requests, *ids: str, now: float = 0.0) -> Request:
    """Return a request whose one call has failed."""
    request = sent(requests)
    requests.doubt(request, 0, call(*ids), now)
    return request


def test_numbers_grow_and_name_what_is_unheard() -> None:
    """Until every call in it has heard the answer, each later request names an earlier one."""
    requests = Requests()
    first, second = sent(requests, calls=2), Request()
    assert (requests.number(second), second.number) == (number(1), number(2))
    requests.hear(first)
    assert requests.number(Request()) == number(1)
    requests.hear(first)
    assert requests.number(Request()) == ""


def test_a_request_that_is_sent_again_has_another_number() -> None:
    """Nothing was done under the first, so nobody is told of it any more."""
    requests = Requests()
    request = sent(requests)
    requests.number(request)
    assert request.number == number(2)
    assert requests.number(Request()) == number(2)


def test_a_job_in_doubt_is_shown_with_its_places() -> None:
    """In its new request, and in those before: whatever its options, and not with other arguments."""
    requests = Requests()
    doubted(requests, "a", "b")
    doubted(requests, "b")
    assert shown(requests.places(call("x", "b"), 0.0)) == f"2:{number(1)}.2 {number(2)}.1 ;"
    assert shown(requests.places(call("b", options=b'{"p":9}'), 0.0)) == f"1:{number(1)}.2 {number(2)}.1 ;"
    assert shown(requests.places(call("b", payload=b"2"), 0.0)) == ""


def test_a_job_that_is_settled_is_in_doubt_no_more() -> None:
    """When all of a call are, its request is not named any more."""
    requests = Requests()
    doubted(requests, "a", "b")
    requests.settle(call("a"))
    assert requests.doubtful
    assert requests.number(Request()) == number(1)
    requests.settle(call("b"))
    assert not requests.doubtful
    assert requests.number(Request()) == ""


def test_a_call_with_an_id_twice_is_settled_once() -> None:
    """It counts as one call."""
    requests = Requests()
    request = sent(requests, calls=2)
    requests.doubt(request, 0, call("a", "a"), 0.0)
    requests.settle(call("a", "a"))
    assert request.unheard == 1


def test_what_was_never_sent_has_no_place() -> None:
    """It waited for others that were not answered."""
    requests = Requests()
    request = Request()
    request.unheard = 1
    requests.doubt(request, 0, call("a"), 0.0)
    assert shown(requests.places(call("a"), 0.0)) == "1:;"


def test_doubts_pass() -> None:
    """After a minute nothing is left of them."""
    requests = Requests()
    doubted(requests, "a", now=0.0)
    doubted(requests, "b", now=1.0)
    assert list(requests.places(call("a"), REMEMBERED)) == []
    assert shown(requests.places(call("b"), REMEMBERED)) == f"1:{number(2)}.1 ;"
    assert requests.number(Request()) == number(2)


def test_the_oldest_are_forgotten_when_there_are_too_many() -> None:
    """Jobs, and requests that would have to be named."""
    requests = Requests()
    doubted(requests, "a")
    for n in range(MOST_NUMBERS):
        doubted(requests, f"number-{n}")
    assert len(requests.number(Request()).split()) == MOST_NUMBERS
    assert list(requests.places(call("a"), 0.0)) == []
    doubted(requests, *(f"job-{n}" for n in range(MOST_JOBS)))
    assert list(requests.places(call("number-99"), 0.0)) == []
    assert len(list(requests.places(call("job-0"), 0.0))) == 1
