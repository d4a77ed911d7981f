"""The model of numbered requests holds its invariants in every state, and detects each wrong rule."""

from __future__ import annotations

import pytest

from tests.contract.request_model import Request, Rules, Server, explore

ONCE, STORED = "a repeated job runs once", "a job whose enqueue returned is stored"


def test_request_model_invariants_hold_in_every_state() -> None:
    """The invariants hold for lost and late answers, whenever the job runs."""
    states, broken, _ = explore(Rules())
    assert broken == ""
    assert states > 10_000


class LateRequestIsDone(Rules):
    """The server does a delayed request after its repetition."""

    def late(self, server: Server, request: Request) -> bool:
        return False


class RepetitionNamesNoRequest(Rules):
    """The client repeats a request like a first one."""

    def tries(self, doubtful: frozenset[int]) -> frozenset[int]:
        return frozenset()


class RepetitionNamesLatestRequest(Rules):
    """The client names only the last of several unanswered requests."""

    def tries(self, doubtful: frozenset[int]) -> frozenset[int]:
        return doubtful and frozenset({max(doubtful)})


class EveryRequestIsAcknowledged(Rules):
    """The client counts unanswered requests as answered."""

    def unacknowledged(self, doubtful: frozenset[int]) -> frozenset[int]:
        return frozenset()


class NothingIsRecorded(Rules):
    """The server looks only at stored jobs."""

    def known(self, server: Server, request: Request) -> bool:
        return server.stored


class LateRequestIsRecorded(Rules):
    """The server records a request that it did not do."""

    def deliver(self, server: Server, request: Request) -> tuple[Server, bool]:
        if self.late(server, request):
            return server._replace(recorded=server.recorded | {request.number}), False
        return super().deliver(server, request)


@pytest.mark.parametrize(
    ("mutant", "promise"),
    [
        (LateRequestIsDone, ONCE),
        (RepetitionNamesNoRequest, ONCE),
        (RepetitionNamesLatestRequest, ONCE),
        (EveryRequestIsAcknowledged, ONCE),
        (NothingIsRecorded, ONCE),
        (LateRequestIsRecorded, STORED),
    ],
)
def test_request_model_detects_mutants(mutant: type[Rules], promise: str) -> None:
    """The model detects wrong rules."""
    _, broken, steps = explore(mutant())
    assert broken == promise, steps
    assert steps
