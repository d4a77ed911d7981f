"""What the supervisor does after a worker process has ended."""

from __future__ import annotations

import signal

import pytest

from aioq.cli.supervisor.restart_policy import Decision, ProcessExit, decide, exit_text, restart_delay


@pytest.mark.parametrize(
    ("ended", "decision"),
    [
        (ProcessExit(code=-signal.SIGKILL), Decision.RESTART),
        (ProcessExit(code=1), Decision.RESTART),
        (ProcessExit(code=69), Decision.RESTART),
        (ProcessExit(code=69, burst=True), Decision.GIVE_UP),
        (ProcessExit(code=70), Decision.RESTART),
        (ProcessExit(code=70, burst=True), Decision.RESTART),
        (ProcessExit(code=0), Decision.RESTART),
        (ProcessExit(code=0, burst=True), Decision.DONE),
        (ProcessExit(code=-signal.SIGKILL, burst=True), Decision.RESTART),
        (ProcessExit(code=2), Decision.GIVE_UP),
        (ProcessExit(code=78), Decision.GIVE_UP),
        (ProcessExit(code=78, burst=True), Decision.GIVE_UP),
        (ProcessExit(code=0, stopping=True), Decision.DONE),
        (ProcessExit(code=-signal.SIGKILL, stopping=True), Decision.DONE),
        (ProcessExit(code=78, stopping=True), Decision.DONE),
    ],
    ids=str,
)
def test_decide_restarts_unless_done_or_hopeless(ended: ProcessExit, decision: Decision) -> None:
    """A process is restarted unless it was to end, or would end again in the same way."""
    assert decide(ended) is decision


def test_restart_delay_grows_to_limit() -> None:
    """The first restart is immediate; the delay doubles with each failed start in a row, up to 30 s."""
    assert [restart_delay(failures) for failures in range(10)] == [0.0, 0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert restart_delay(1_000_000) == 30


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "ended with exit code 0"), (-9, "was killed by SIGKILL"), (-77, "was killed by signal 77")],
)
def test_exit_text_names_signals(code: int, text: str) -> None:
    """A signal without a name is shown by its number."""
    assert exit_text(code) == text
