"""A model of numbered enqueue requests and their repetitions, small enough to visit every state.

One client repeats the enqueue of one job, which leaves no record after it has run, and enqueues
other jobs in between. The network delivers its requests in any order, late, or never, and loses answers.
`Rules` says what client and server do; `explore` plays all that can happen, breadth first, and
returns the first promise that is broken, with the way that led there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Request", "Rules", "Server", "explore"]

MOST_SENT = 5
"""Requests after which no further ones are sent."""


class Request(NamedTuple):
    """A request under way, with the job or with other jobs, and the earlier requests that it names."""

    number: int
    ours: bool
    unacknowledged: frozenset[int]
    tries: frozenset[int]


class Server(NamedTuple):
    """What the server stores."""

    latest: int = 0
    recorded: frozenset[int] = frozenset()
    """Unacknowledged requests that have stored the job."""
    stored: bool = False
    runs: int = 0


class State(NamedTuple):
    """Client, network, server."""

    server: Server = Server()
    way: frozenset[Request] = frozenset()
    sent: int = 0
    doubtful: frozenset[int] = frozenset()
    """Numbers of the requests with the job. The client waits for the answer to the latest."""
    acknowledged: bool = False


class Rules:
    """What client and server do. A mutant overrides a rule."""

    def unacknowledged(self, doubtful: frozenset[int]) -> frozenset[int]:
        """Return the unacknowledged requests that a new request names."""
        return doubtful

    def tries(self, doubtful: frozenset[int]) -> frozenset[int]:
        """Return the earlier requests with the same job that a repetition names."""
        return doubtful

    def late(self, server: Server, request: Request) -> bool:
        """Return whether a request comes too late to be done."""
        return request.number <= server.latest

    def known(self, server: Server, request: Request) -> bool:
        """Return whether the job of a request is stored, or was."""
        return server.stored or bool(request.tries & server.recorded)

    def record(self, server: Server, request: Request) -> Server:
        """Return the server after it has recorded the outcome of a request."""
        recorded = server.recorded & request.unacknowledged
        return server._replace(
            latest=request.number, recorded=recorded | {request.number} if request.ours else recorded
        )

    def deliver(self, server: Server, request: Request) -> tuple[Server, bool]:
        """Return the server after a request, and whether that was done."""
        if self.late(server, request):
            return server, False
        new = request.ours and not self.known(server, request)
        return self.record(server, request)._replace(stored=server.stored or new), True


def explore(rules: Rules) -> tuple[int, str, tuple[str, ...]]:
    """Return the number of states, the first promise that is broken, if any, and the steps that led to it."""
    ways: dict[State, tuple[str, ...]] = {State(): ()}
    waiting = deque(ways)
    while waiting:
        state = waiting.popleft()
        if state.server.runs > 1:
            return len(ways), "a repeated job runs once", ways[state]
        if state.acknowledged and not state.server.stored and not state.server.runs:
            return len(ways), "a job whose enqueue returned is stored", ways[state]
        for step, following in _moves(rules, state):
            if following not in ways:
                ways[following] = (*ways[state], step)
                waiting.append(following)
    return len(ways), "", ()


def _moves(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    if state.sent < MOST_SENT:
        yield from _sent(rules, state)
    if state.server.stored:
        yield "the job runs", state._replace(server=state.server._replace(stored=False, runs=state.server.runs + 1))
    for request in state.way:
        rest = state._replace(way=state.way - {request})
        yield f"request {request.number} is lost", rest
        server, done = rules.deliver(state.server, request)
        reached = rest._replace(server=server)
        yield f"request {request.number} arrives, and its answer is lost", reached
        if request.ours and done and not state.acknowledged and request.number == max(state.doubtful):
            yield f"request {request.number} is answered", reached._replace(acknowledged=True, doubtful=frozenset())


def _sent(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    number, unacknowledged = state.sent + 1, rules.unacknowledged(state.doubtful)
    others = Request(number, False, unacknowledged, frozenset())
    yield f"others are sent as {number}", state._replace(sent=number, way=state.way | {others})
    if not state.acknowledged:
        ours = Request(number, True, unacknowledged, rules.tries(state.doubtful))
        sent = state._replace(sent=number, way=state.way | {ours}, doubtful=state.doubtful | {number})
        yield f"the job is sent as {number}", sent
