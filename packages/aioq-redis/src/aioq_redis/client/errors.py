"""Errors inside the client: lost connections, and error replies of the server.

Callers of the broker see errors of `aioq.errors` only.
"""

from __future__ import annotations

import re
from typing import Final

from aioq.errors import BrokerConfigError
from aioq.serialization.failure import one_line

__all__ = ["TRANSIENT", "ConnectionLost", "ErrorReply", "Unreachable", "access_denied", "error_text"]

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

_PERMANENT: Final = frozenset({"NOAUTH", "NOPERM", "NOSCRIPT", "OOM", "WRONGPASS", "WRONGTYPE"})

# An error raised inside a script has its code somewhere in the text; Redis 6 puts a dash before it.
_CODE: Final = re.compile(r"(?:^|[\s-])(" + "|".join(sorted(TRANSIENT | _PERMANENT)) + r")\b")

_TEXT_LIMIT: Final = 300
"""Characters of an error that are shown."""


class ConnectionLost(Exception):
    """The connection broke, or the server is not ready. The command may have been done or not."""


class Unreachable(ConnectionLost):
    """No connection could be opened: no server answers at the address."""


class ErrorReply(Exception):
    """The server answered with an error.

    Attributes:
        code: The first word of the error, or ERR.
        text: The whole error, on one line.
    """

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(code, text)

    @classmethod
    def parse(cls, text: str) -> ErrorReply:
        """Return the error that a reply says."""
        text = _shown(text).removeprefix("ERR ")
        found = _CODE.search(text)
        if found is None:
            return cls("ERR", text)
        code = found[1]
        return cls(code, text if text.startswith(code) else f"{code} {text}")


def error_text(error: BaseException) -> str:
    """Return the text of an error for use inside a log line or another message."""
    return _shown(str(error)) or type(error).__name__


def access_denied(where: str, reply: ErrorReply) -> BrokerConfigError:
    """Return the error for a server that rejects the login."""
    return BrokerConfigError(
        f"{where} does not let us in: {reply.text}; check user name, password and database in the URL"
    )


def _shown(text: str) -> str:
    # Servers and the system end their errors with a full stop; here they become part of a sentence.
    return one_line(text.rstrip(" ."), _TEXT_LIMIT)
