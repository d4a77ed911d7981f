"""Remembers the jobs of enqueue calls with an unknown outcome, so that a repeated call stores none of them twice.

Each request that a client sends to a queue has a number. The script `enqueue` does no request twice and none that
arrives after a later one. If a request names an earlier request that contained a job, and the client has not heard
the answer to that one, the script repeats its answer for the job; see `lua/lib/requests.lua`. So a repeated call has to
name the earlier requests of its jobs, whether the broker repeats it or the caller does after an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

__all__ = ["ARGS_PER_JOB", "Doubts", "Place", "Request", "format_places"]

ARGS_PER_JOB: Final = 3
"""Arguments of a job in a call: id, plan, record."""

REMEMBER_FOR: Final = 60.0
"""Seconds for which a call with an unknown outcome is remembered. The server remembers its answers for longer."""

MAX_JOBS: Final = 10_000
"""Jobs in doubt that are remembered; the oldest are forgotten first."""

MAX_UNHEARD: Final = 100
"""Earlier requests that one request names; the jobs of older ones are forgotten."""


@dataclass(slots=True, eq=False)
class Request:
    """One script call with the jobs of one or more enqueue calls."""

    number: str = ""
    """The number it was last sent under; empty before that."""
    unheard: int = 0
    """Calls in it that have not heard the answer."""


class Doubt:
    """An enqueue call with an unknown outcome; its jobs are those from `first` on of a request."""

    __slots__ = ("first", "ids", "request", "until")

    def __init__(self, request: Request, first: int, ids: Sequence[object], until: float) -> None:
        self.request = request
        self.first = first
        self.until = until
        self.ids = set(ids)


class Place(NamedTuple):
    """A job's place in an earlier request."""

    doubt: Doubt
    at: int
    content: bytes


class Doubts:
    """The jobs that one client sent to one queue without hearing whether they were stored.

    Args:
        unheard: The numbers of the requests that the next request will name.
        hear: Called when a call of a request will not be asked about any more.

    Attributes:
        places: Where each job in doubt was sent, by its id.
    """

    def __init__(self, unheard: Mapping[str, None], hear: Callable[[Request], None]) -> None:
        self.places: dict[object, list[Place]] = {}
        self._unheard = unheard
        self._hear = hear
        # In order of age, as every doubt is remembered for the same time.
        self._doubts: dict[Doubt, None] = {}

    def add(self, request: Request, first: int, args: Sequence[object], now: float) -> None:
        """Remember a call whose outcome is unknown."""
        doubt = Doubt(request, first, args[::ARGS_PER_JOB], now + REMEMBER_FOR)
        self._doubts[doubt] = None
        for at in range(0, len(args), ARGS_PER_JOB):
            place = Place(doubt, first + at // ARGS_PER_JOB, _content(args[at + 2]))
            self.places.setdefault(args[at], []).append(place)
        self.prune(now)

    def find(self, args: Sequence[object], now: float) -> Iterator[tuple[int, list[Place]]]:
        """Yield the jobs of a call that are in doubt: the index in the call, and the places in earlier requests."""
        self.prune(now)
        for at in range(0, len(args), ARGS_PER_JOB):
            if known := self.places.get(args[at]):
                content = _content(args[at + 2])
                # The same id with other content is not a repetition but a conflict, and the script has to notice it.
                if same := [place for place in known if place.content == content]:
                    yield at // ARGS_PER_JOB, same

    def settle(self, args: Sequence[object]) -> None:
        """Forget the doubts about the jobs of a call, whose outcome is known now."""
        for job_id in args[::ARGS_PER_JOB]:
            for place in self.places.pop(job_id, ()):
                self._forget(place.doubt, job_id)

    def prune(self, now: float) -> None:
        """Forget the doubts that are too old, or too many."""
        while self._doubts:
            oldest = next(iter(self._doubts))
            if oldest.until > now and len(self.places) <= MAX_JOBS and len(self._unheard) <= MAX_UNHEARD:
                break
            for job_id in list(oldest.ids):
                left = [place for place in self.places.pop(job_id) if place.doubt is not oldest]
                if left:
                    self.places[job_id] = left
                self._forget(oldest, job_id)

    def _forget(self, doubt: Doubt, job_id: object) -> None:
        doubt.ids.discard(job_id)
        # A call that has the same id twice is counted once.
        if not doubt.ids and doubt in self._doubts:
            del self._doubts[doubt]
            self._hear(doubt.request)


def format_places(jobs: Iterable[tuple[int, Sequence[Place]]]) -> str:
    """Return jobs in doubt as `lua/jobs/enqueue.lua` takes them: `<index>:<number>.<index in it> ...;`, from 1."""
    return "".join([f"{at + 1}:{''.join(map(_format_place, places))};" for at, places in jobs])


def _format_place(place: Place) -> str:
    # A request without a number was never sent, so the server cannot have an answer to it.
    number = place.doubt.request.number
    return f"{number}.{place.at + 1} " if number else ""


def _content(record: Any) -> bytes:
    """Return a digest of task and payload: two enqueues of one job have them in common, and may differ in options."""
    # Only a digest is remembered: the payloads of 10,000 jobs may not fit into memory.
    head, _, payload = record.partition(b"\n")
    return blake2b(head.partition(b" ")[0] + b"\n" + payload, digest_size=16).digest()
