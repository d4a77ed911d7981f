"""How requests that store jobs are told apart from their repetitions, small enough to look at every state there is.

One client insists on one job, of which nothing is kept once it has run, and enqueues others in
between. The network delivers its requests in any order, late, or never, and loses answers.
`Rules` says what client and server do; `explore` plays all that can happen, breadth first, and
returns the first promise that is broken, with the way that led there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Request", "Rules", "Server", "explore"]

MOST_SENT = 5
"""Requests, after which the world ends."""


class Request(NamedTuple):
    """What is on its way: with the job or with others, and which earlier requests it names."""

    number: int
    ours: bool
    unheard: frozenset[int]
    tries: frozenset[int]


class Server(NamedTuple):
    """What the server stores."""

    latest: int = 0
    noted: frozenset[int] = frozenset()
    """Requests under which the job was stored, as far as they are unheard."""
    stored: bool = False
    runs: int = 0


class State(NamedTuple):
    """Client, network, server."""

    server: Server = Server()
    way: frozenset[Request] = frozenset()
    sent: int = 0
    doubts: frozenset[int] = frozenset()
    """Numbers under which the job went out; the answer of the latest is waited for."""
    heard: bool = False


class Rules:
    """What client and server do. A mutant overrides a rule."""

    def unheard(self, doubts: frozenset[int]) -> frozenset[int]:
        """Return the requests that a new one names as unheard."""
        return doubts

    def tries(self, doubts: frozenset[int]) -> frozenset[int]:
        """Return the requests that a repetition names as those of its job."""
        return doubts

    def late(self, server: Server, request: Request) -> bool:
        """Whether a request is not done any more."""
        return request.number <= server.latest

    def known(self, server: Server, request: Request) -> bool:
        """Whether the job of a request is known, or was."""
        return server.stored or bool(request.tries & server.noted)

    def note(self, server: Server, request: Request) -> Server:
        """Return the server when it has noted what became of a request."""
        noted = server.noted & request.unheard
        return server._replace(latest=request.number, noted=noted | {request.number} if request.ours else noted)

    def deliver(self, server: Server, request: Request) -> tuple[Server, bool]:
        """Return the server after a request, and whether that was done."""
        if self.late(server, request):
            return server, False
        new = request.ours and not self.known(server, request)
        return self.note(server, request)._replace(stored=server.stored or new), True


def explore(rules: Rules) -> tuple[int, str, tuple[str, ...]]:
    """Return how many states there are, the first promise that is broken, if any, and the steps that led there."""
    ways: dict[State, tuple[str, ...]] = {State(): ()}
    waiting = deque(ways)
    while waiting:
        state = waiting.popleft()
        if state.server.runs > 1:
            return len(ways), "a job that is insisted on runs once", ways[state]
        if state.heard and not state.server.stored and not state.server.runs:
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
        left = state._replace(way=state.way - {request})
        yield f"request {request.number} is lost", left
        server, done = rules.deliver(state.server, request)
        reached = left._replace(server=server)
        yield f"request {request.number} arrives, and its answer is lost", reached
        if request.ours and done and not state.heard and request.number == max(state.doubts):
            yield f"request {request.number} is answered", reached._replace(heard=True, doubts=frozenset())


def _sent(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    number, unheard = state.sent + 1, rules.unheard(state.doubts)
    others = Request(number, False, unheard, frozenset())
    yield f"others are sent as {number}", state._replace(sent=number, way=state.way | {others})
    if not state.heard:
        ours = Request(number, True, unheard, rules.tries(state.doubts))
        sent = state._replace(sent=number, way=state.way | {ours}, doubts=state.doubts | {number})
        yield f"the job is sent as {number}", sent
