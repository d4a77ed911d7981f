"""What the server may answer instead of a result, and what becomes of it.

These exceptions stay inside the package: `ConnectionLost` means that the same command may succeed on
another connection, `Unreachable` that nobody is there to connect to, `ErrorReply` that it will
not succeed. Callers see errors of aioq only.
"""

from __future__ import annotations

import re
from typing import Final

from redis import exceptions

from aioq.serialization.failure import one_line

__all__ = ["TRANSIENT", "ConnectionLost", "ErrorReply", "Unreachable", "parse_error", "error_reply_of", "error_text"]

TRANSIENT: Final = frozenset(
    {
        "ASK",
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "MOVED",
        "NOREPLICAS",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    }
)
"""Replies of a server that is not ready now, or is no longer the one to talk to."""

_PERMANENT: Final = frozenset({"NOAUTH", "NOPERM", "NOSCRIPT", "OOM", "WRONGPASS", "WRONGTYPE"})

# redis-py takes the code off the text of the errors for which it has a class.
_CLASSES: Final = {
    "AskError": "ASK",
    "AuthenticationError": "NOAUTH",
    "AuthenticationWrongNumberOfArgsError": "NOAUTH",
    "BusyLoadingError": "LOADING",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "NoScriptError": "NOSCRIPT",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}

# An error raised inside a script carries its code somewhere in the text, after a dash on Redis 6.
_CODE: Final = re.compile(r"(?:^|[\s-])(" + "|".join(sorted(TRANSIENT | _PERMANENT)) + r")\b")


class ConnectionLost(Exception):
    """The connection broke, or the server is not ready: whether it was done is unknown."""


class Unreachable(ConnectionLost):
    """Nobody answers at the address."""


class ErrorReply(Exception):
    """The server answered with an error.

    Attributes:
        code: The first word of the answer, or ERR.
        text: All of the answer, on one line.
    """

    def __init__(self, code: str, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(code, text)


def error_reply_of(error: exceptions.RedisError) -> ErrorReply:
    """Return the server's error reply that redis-py has made an exception of."""
    text, code = str(error), _CLASSES.get(type(error).__name__, "ERR")
    if code == "NOAUTH" and text.startswith("invalid"):
        code = "WRONGPASS"  # for which redis-py has the same class
    return parse_error(text, code)


def parse_error(text: str, code: str = "ERR") -> ErrorReply:
    """Return an error reply from its text; `code` is that of a text which names none."""
    text = one_line(_unstopped(text)).removeprefix("ERR ")
    found = _CODE.search(text)
    code = found[1] if found else code
    return ErrorReply(code, text if text.startswith(code) or code == "ERR" else f"{code} {text}")


def error_text(error: BaseException) -> str:
    """Return what an error says, fit for the midst of a log line."""
    return one_line(_unstopped(str(error)) or type(error).__name__)


def _unstopped(text: str) -> str:
    # What the server or redis-py says is a sentence, and becomes a part of one of ours.
    return text.rstrip(" .")
