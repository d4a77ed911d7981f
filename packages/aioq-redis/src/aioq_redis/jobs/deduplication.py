"""What one client has asked one queue to store, as far as it has not heard the answer.

Each request has a number, and the server does none twice, none that comes after a later one,
and none anew that it has answered and that is named to it as unheard; see
`lua/lib/requests.lua`. So whoever repeats a call, be it the broker by itself or somebody
whose call failed, names the requests in which its jobs went out before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from aioq.model.ids import new_id

__all__ = ["FIELDS", "Place", "Request", "Requests", "shown"]

FIELDS: Final = 3
"""Arguments of a job: id, plan, record."""

REMEMBERED: Final = 60.0
"""Seconds for which a call that failed is remembered; the server does so for longer."""

MOST_JOBS: Final = 10_000
"""Jobs in doubt that are remembered, the latest of them."""

MOST_NUMBERS: Final = 100
"""Requests that a request names as unheard; of older ones the jobs are not remembered."""


class Request:
    """One script on its way, perhaps with the jobs of many calls.

    Attributes:
        number: Under which it was sent last; nothing before that.
        unheard: Calls in it that have not heard the answer.
    """

    __slots__ = ("number", "unheard")

    def __init__(self) -> None:
        self.number = ""
        self.unheard = 0


class Doubt:
    """A call of which it is unknown whether its jobs were stored: those from `first` on of a request."""

    __slots__ = ("first", "ids", "request", "until")

    def __init__(self, request: Request, first: int, ids: Sequence[object], until: float) -> None:
        self.request, self.first, self.until = request, first, until
        self.ids = set(ids)


class Place(NamedTuple):
    """Where a job was sent before."""

    doubt: Doubt
    at: int
    content: bytes


class Requests:
    """The requests of one client for one queue.

    Attributes:
        client: Whose they are. By chance and not by count: no two processes may number alike.
    """

    def __init__(self) -> None:
        self.client = new_id()
        self._latest = 0
        self._unheard: dict[str, None] = {}
        self._doubts: dict[Doubt, None] = {}
        self._places: dict[object, list[Place]] = {}

    @property
    def doubtful(self) -> bool:
        """Whether any job is in doubt."""
        return bool(self._places)

    def number(self, request: Request) -> str:
        """Give a request that is about to be sent its number; return the others that are unheard.

        One that has a number was sent before, and it is known that nothing was done.
        """
        self._unheard.pop(request.number, None)
        unheard = " ".join(self._unheard)
        self._latest += 1
        request.number = f"{self._latest:012}"
        if request.unheard:
            self._unheard[request.number] = None
        return unheard

    def hear(self, request: Request) -> None:
        """Note that one call of a request has been answered, or is not asked about any more."""
        request.unheard -= 1
        if not request.unheard:
            self._unheard.pop(request.number, None)

    def doubt(self, request: Request, first: int, args: Sequence[object], now: float) -> None:
        """Remember a call that has not heard what became of its jobs."""
        doubt = Doubt(request, first, args[::FIELDS], now + REMEMBERED)
        self._doubts[doubt] = None
        for at in range(0, len(args), FIELDS):
            place = Place(doubt, first + at // FIELDS, _content(args[at + 2]))
            self._places.setdefault(args[at], []).append(place)
        self._prune(now)

    def places(self, args: Sequence[object], now: float) -> Iterator[tuple[int, list[Place]]]:
        """Yield which jobs of a call are in doubt, and where they were sent."""
        self._prune(now)
        for at in range(0, len(args), FIELDS):
            if known := self._places.get(args[at]):
                content = _content(args[at + 2])
                if same := [place for place in known if place.content == content]:
                    yield at // FIELDS, same

    def settle(self, args: Sequence[object]) -> None:
        """Note that it is known of all jobs of a call whether they were stored."""
        for job_id in args[::FIELDS]:
            for place in self._places.pop(job_id, ()):
                self._forget(place.doubt, job_id)

    def _prune(self, now: float) -> None:
        while self._doubts:
            oldest = next(iter(self._doubts))
            if oldest.until > now and len(self._places) <= MOST_JOBS and len(self._unheard) <= MOST_NUMBERS:
                break
            for job_id in list(oldest.ids):
                left = [place for place in self._places.pop(job_id) if place.doubt is not oldest]
                if left:
                    self._places[job_id] = left
                self._forget(oldest, job_id)

    def _forget(self, doubt: Doubt, job_id: object) -> None:
        doubt.ids.discard(job_id)
        if not doubt.ids and doubt in self._doubts:
            del self._doubts[doubt]
            self.hear(doubt.request)


def shown(jobs: Iterable[tuple[int, Sequence[Place]]]) -> str:
    """Return jobs in doubt as `lua/jobs/enqueue.lua` takes them, by their places in the request and in earlier ones."""
    return "".join([f"{at + 1}:{''.join(map(_shown, places))};" for at, places in jobs])


def _shown(place: Place) -> str:
    number = place.doubt.request.number
    return f"{number}.{place.at + 1} " if number else ""


def _content(record: Any) -> bytes:
    """Return what two enqueues of the same job have in common: task and payload, not the options."""
    head, _, payload = record.partition(b"\n")
    return blake2b(head.partition(b" ")[0] + b"\n" + payload, digest_size=16).digest()
