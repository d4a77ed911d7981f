"""Numbered requests keep their promises in every state; broken in any of these ways, they do not."""

from __future__ import annotations

import pytest

from tests.contract.request_model import Request, Rules, Server, explore

ONCE, STORED = "a job that is insisted on runs once", "a job whose enqueue returned is stored"


def test_request_model_invariants_hold_in_every_state() -> None:
    """The invariants hold for lost and late answers, whenever the job runs."""
    states, broken, _ = explore(Rules())
    assert broken == ""
    assert states > 10_000


class DoesWhatIsLate(Rules):
    """An original that was held up is done after its repetition."""

    def late(self, server: Server, request: Request) -> bool:
        return False


class NamesNoTries(Rules):
    """A repetition looks like a first try."""

    def tries(self, doubts: frozenset[int]) -> frozenset[int]:
        return frozenset()


class NamesTheLatestTry(Rules):
    """Of several that were not answered only the last is named."""

    def tries(self, doubts: frozenset[int]) -> frozenset[int]:
        return doubts and frozenset({max(doubts)})


class HearsWhatItSent(Rules):
    """The client counts as heard what it has not heard."""

    def unheard(self, doubts: frozenset[int]) -> frozenset[int]:
        return frozenset()


class NotesNothing(Rules):
    """The server looks only at what is stored."""

    def known(self, server: Server, request: Request) -> bool:
        return server.stored


class NotesWhatIsLate(Rules):
    """A request that is not done any more counts as done."""

    def deliver(self, server: Server, request: Request) -> tuple[Server, bool]:
        if self.late(server, request):
            return server._replace(noted=server.noted | {request.number}), False
        return super().deliver(server, request)


@pytest.mark.parametrize(
    ("mutant", "promise"),
    [
        (DoesWhatIsLate, ONCE),
        (NamesNoTries, ONCE),
        (NamesTheLatestTry, ONCE),
        (HearsWhatItSent, ONCE),
        (NotesNothing, ONCE),
        (NotesWhatIsLate, STORED),
    ],
)
def test_request_model_detects_mutants(mutant: type[Rules], promise: str) -> None:
    """The model detects wrong rules."""
    _, broken, steps = explore(mutant())
    assert broken == promise, steps
    assert steps
