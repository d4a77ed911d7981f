"""How a command ends when it cannot do what it was asked."""

from __future__ import annotations

from enum import IntEnum

from aioq.errors import BrokerConfigError, BrokerUnavailable, DiscoveryError

__all__ = ["CommandError", "Exit", "exit_for"]


class Exit(IntEnum):
    """The exit codes of `aioq`; those above 64 are the ones of sysexits.h."""

    OK = 0
    FAILED = 1
    USAGE = 2
    """Wrong arguments, and paths to apps that lead nowhere."""
    UNAVAILABLE = 69
    """The broker cannot be reached."""
    CONFIG = 78
    """The broker will never do as it is configured, or a distribution is missing."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CommandError(Exception):
    """What a command says, in one line, before it ends."""

    def __init__(self, text: str, code: Exit = Exit.USAGE) -> None:
        self.code = code
        super().__init__(text)


def exit_for(error: BaseException) -> Exit:
    """Return the exit code that an error stands for."""
    match error:
        case CommandError():
            return error.code
        case BrokerUnavailable():
            return Exit.UNAVAILABLE
        case BrokerConfigError() | DiscoveryError():
            return Exit.CONFIG
        case _:
            return Exit.FAILED
