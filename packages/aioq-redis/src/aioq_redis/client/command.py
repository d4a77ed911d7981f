"""Commands on their way to a server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from aioq_redis.client.connection import pack

__all__ = ["Command", "Script", "milliseconds", "script_call"]


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script: its text, the SHA-1 of the text, and the names of its keys in order."""

    name: str
    text: str
    sha: str
    keys: tuple[str, ...]


def script_call(script: Script, whole: bool) -> tuple[str, str]:
    """Return the first words of a script's call: with its text if `whole`, otherwise with its SHA-1."""
    return ("EVAL", script.text) if whole else ("EVALSHA", script.sha)


@lru_cache(maxsize=1024)
def milliseconds(seconds: float) -> int:
    """Return a duration or a moment as commands take it: rounded up, so that nothing is due early; at least 0."""
    # 0.6 s may arrive as 0.6000000000000001 s, which is no millisecond more.
    return max(0, math.ceil(seconds * 1000 - 0.001))


def _new_future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class Command:
    """A plain command, or the call of a script."""

    script: Script | None
    keys: Sequence[str]
    args: Sequence[object]
    future: asyncio.Future[Any] = field(default_factory=_new_future)
    """The reply or the error."""
    hops: int = 0
    """How often a node of a cluster has sent the command on."""
    whole: bool = False
    """Whether to send the script's text, because the server does not know its SHA-1."""

    @property
    def key(self) -> Any:
        """One of the keys, which are all in one hash slot; empty for a command without keys."""
        if self.script is not None:
            return self.keys[0]
        return self.args[1] if len(self.args) > 1 else ""

    def awaited(self) -> bool:
        """Return whether to send the command: a caller waits for the reply, or an ASKING went before it."""
        return self.hops > 0 or not self.future.done()

    def packed(self) -> bytes:
        """Return the bytes to send."""
        if self.script is None:
            return pack((*self.keys, *self.args))
        return pack((*script_call(self.script, self.whole), len(self.keys), *self.keys, *self.args))

    def send_whole(self) -> bool:
        """Send the script's text next time; return False for a plain command."""
        self.whole = self.script is not None
        return self.whole

    def answer(self, reply: Any) -> None:
        """Give the reply to the caller, if it still waits."""
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Give an error to the caller, if it still waits."""
        if not self.future.done():
            self.future.set_exception(error)
