"""Errors inside the client: lost connections, and error replies of the server.

Callers of the broker see errors of `aioq.errors` only.
"""

from __future__ import annotations

import re
from typing import Final

from aioq.errors import BrokerConfigError
from aioq.serialization.failure import one_line

__all__ = [
    "CHECK_SERVER",
    "DENIED_IN_SCRIPT",
    "TRANSIENT",
    "ConnectionLost",
    "ErrorReply",
    "NotReady",
    "Unreachable",
    "access_denied",
    "advice_for",
    "error_text",
    "not_permitted",
]

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
"""Error codes of a server that is not ready now, or is no longer the right one to ask."""

CHECK_SERVER: Final = "check that the server is up and that the URL is right"
"""The advice if no server answers."""

_ADVICE: Final = {
    "BUSY": "a script of another program blocks the server; SCRIPT KILL ends it",
    "CLUSTERDOWN": "check the nodes of the cluster",
    "LOADING": "wait until the server has read its data",
    "MASTERDOWN": "the server is a replica: use the address of its primary, and check the link between them",
    "MISCONF": "check the disk of the server: it takes no writes until it can save",
    "NOREPLICAS": "check the replicas of the server: fewer are connected than its min-replicas-to-write",
    "READONLY": "the server is a replica: use the address of its primary, or redis+sentinel://, which follows it",
}
"""What to do about a server that answers with one of the codes of `TRANSIENT`."""

_PERMANENT: Final = frozenset({"NOAUTH", "NOPERM", "NOSCRIPT", "OOM", "WRONGPASS", "WRONGTYPE"})

# An error raised inside a script has its code somewhere in the text; Redis 6 puts a dash before it.
_CODE: Final = re.compile(r"(?:^|[\s-])(" + "|".join(sorted(TRANSIENT | _PERMANENT)) + r")\b")

# Of "... to run the 'script|load' command". For a key or a channel the error names no right that could be added.
_COMMAND: Final = re.compile(r"'([a-zA-Z|_-]+)' command")

DENIED_IN_SCRIPT: Final = "can't run this command"
"""A part of the error of Redis 6.2 if the user must not run a command of a script. It does not name the command."""

_TEXT_LIMIT: Final = 300
"""Characters of an error that are shown."""


class ConnectionLost(Exception):
    """The connection broke, or the server is not ready. The command may have been done or not."""


class Unreachable(ConnectionLost):
    """No connection could be opened: no server answers at the address."""


class ErrorReply(Exception):
    """The server answered with an error.

    Args:
        reply: The error as the server has sent it.

    Attributes:
        code: The first word of the error, or ERR.
    """

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        found = _CODE.search(reply)
        self.code = found[1] if found else "ERR"

    @property
    def text(self) -> str:
        """The whole error, on one line; most errors are dealt with and never shown."""
        text = _shown(self.args[0]).removeprefix("ERR ")
        return text if self.code == "ERR" or text.startswith(self.code) else f"{self.code} {text}"


class NotReady(ConnectionLost):
    """The server answered that it cannot do the command now. The connection is in order.

    Args:
        reply: The answer, with a code of `TRANSIENT`.
    """

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(reply)
        self.code = reply.code
        self._reply = reply

    def __str__(self) -> str:
        return self._reply.text


def advice_for(error: Exception) -> str:
    """Return what to do if an operation is given up after this error."""
    return _ADVICE.get(error.code, CHECK_SERVER) if isinstance(error, NotReady) else CHECK_SERVER


def error_text(error: BaseException) -> str:
    """Return the text of an error for use inside a log line or another message."""
    return _shown(str(error)) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


def access_denied(where: str, reply: ErrorReply) -> BrokerConfigError:
    """Return the error for a server that rejects the login."""
    return BrokerConfigError(
        f"{where} rejects the login: {reply.text}; check user name, password and database in the URL"
    )


def not_permitted(where: str, what: str, reply: ErrorReply) -> BrokerConfigError:
    """Return the error for a command that the user must not run; it names the right if the server does."""
    found = _COMMAND.search(reply.text)
    # Redis 6.2 leaves open which command it was, so the hint has all that scripts need.
    right = " with +@read +@write +time" if DENIED_IN_SCRIPT in reply.text else ""
    if found:
        right = f" with +{found[1].lower()}"
    return BrokerConfigError(f"{where} does not permit {what}: {reply.text}; extend the user's ACL{right}")


def _shown(text: str) -> str:
    # Servers and the system end their errors with a full stop; here they become part of a sentence.
    return one_line(text.rstrip(" ."), _TEXT_LIMIT)
