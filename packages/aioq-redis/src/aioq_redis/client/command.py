"""One command on its way to the server, and who waits for its reply."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aioq_redis.client.connection import pack

__all__ = ["Command", "Script", "script_call"]


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script: its text, the SHA-1 of the text, and the names of its keys in order."""

    name: str
    text: str
    sha: str
    keys: tuple[str, ...]


def script_call(script: Script, whole: bool) -> tuple[str, str]:
    """Return how a call of a script begins: with its text, or with its digest."""
    return ("EVAL", script.text) if whole else ("EVALSHA", script.sha)


class Command:
    """A plain command, or a script by its digest. Its future is the reply, or the error."""

    __slots__ = ("_keys", "_script", "_whole", "args", "future", "hops")

    def __init__(self, script: Script | None, keys: Sequence[str], args: Iterable[object]) -> None:
        self._script, self._keys, self._whole = script, keys, False
        self.args: list[object] = list(args)
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.hops = 0

    @property
    def key(self) -> Any:
        """One of the keys, which are all in one place; empty for a command without."""
        if self._script is not None:
            return self._keys[0]
        return self.args[1] if len(self.args) > 1 else ""

    def awaited(self) -> bool:
        """Whether to send it: while anybody waits for the reply, or when it was sent on, after an ASKING."""
        return self.hops > 0 or not self.future.done()

    def packed(self) -> bytes:
        """Return the command as it goes over the wire."""
        if self._script is None:
            return pack((*self._keys, *self.args))
        return pack((*script_call(self._script, self._whole), len(self._keys), *self._keys, *self.args))

    def send_whole(self) -> bool:
        """Make a script that the server does not know one that brings its text along."""
        self._whole = self._script is not None
        return self._whole

    def answer(self, reply: Any) -> None:
        """Hand the reply to whoever still waits for it."""
        if not self.future.done():
            self.future.set_result(reply)

    def fail(self, error: Exception) -> None:
        """Hand an error to whoever still waits."""
        if not self.future.done():
            self.future.set_exception(error)
