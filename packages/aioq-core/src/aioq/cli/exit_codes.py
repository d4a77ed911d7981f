"""Exit codes, and the error that ends a command."""

from __future__ import annotations

from enum import IntEnum

from aioq.errors import BrokerConfigError, BrokerUnavailable, DiscoveryError, TooManyStuck

__all__ = ["CommandError", "Exit", "exit_for"]


class Exit(IntEnum):
    """The exit codes of `aioq`; 64 to 78 have the meanings of sysexits.h."""

    OK = 0
    FAILED = 1
    USAGE = 2
    """Wrong arguments, or a path to an app that does not exist."""
    NOT_CONSUMED = 3
    """`aioq check`: no worker consumes a queue that has jobs or crons."""
    TOO_FEW_WORKERS = 4
    TOO_LATE = 5
    """A due job has waited for longer than `--max-latency`."""
    TOO_MANY_FAILURES = 6
    UNAVAILABLE = 69
    """The broker cannot be reached."""
    STUCK = 70
    """A worker has left because tasks that ignore their cancellation hold `--max-stuck` slots: start another one."""
    MAX_JOBS = 75
    """A worker process of a supervisor has run `--max-jobs` jobs: the supervisor starts another one."""
    CONFIG = 78
    """The broker's configuration is wrong, a distribution is not installed, or a port cannot be used."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143
    """A second signal ended a worker whose event loop did not answer."""


class CommandError(Exception):
    """Ends a command with one line on stderr.

    Args:
        text: The line.
        code: The exit code.
    """

    def __init__(self, text: str, code: Exit = Exit.USAGE) -> None:
        self.code = code
        super().__init__(text)


def exit_for(error: BaseException) -> Exit:
    """Return the exit code for an error."""
    match error:
        case CommandError():
            return error.code
        case BrokerUnavailable():
            return Exit.UNAVAILABLE
        case BrokerConfigError() | DiscoveryError():
            return Exit.CONFIG
        case TooManyStuck():
            return Exit.STUCK
        case _:
            return Exit.FAILED
