"""Questions to a server that may refuse some of them."""

from __future__ import annotations

from typing import Any, Final

from aioq.model.health import Finding, Level
from aioq_redis.client.client import gather_all
from aioq_redis.client.errors import ErrorReply
from aioq_redis.storage.database import Database

__all__ = ["Questions"]

AT_ONCE: Final = 500


class Questions:
    """Asks, and notes what was refused."""

    def __init__(self, server: Database) -> None:
        self._server = server
        self._refused: dict[str, Finding] = {}

    @property
    def refused(self) -> list[Finding]:
        """A finding for each command that was refused."""
        return list(self._refused.values())

    async def ask(self, subject: str, *words: object) -> Any:
        """Return the answer to a command, None when it is refused; `subject` is what it would tell of.

        Raises:
            BrokerUnavailable: The server cannot be reached.
        """
        return self._noted(subject, str(words[0]), await self._server.ask(*words))

    async def ask_everywhere(self, subject: str, *words: object) -> dict[str, Any] | None:
        """Return the answers of all servers that take writes by where they are, always in the same order; see `ask`."""
        answers: dict[str, Any] | None = self._noted(subject, str(words[0]), await self._server.ask_all(*words))
        return answers

    def _noted(self, subject: str, command: str, reply: Any) -> Any:
        if not isinstance(reply, ErrorReply):
            return reply
        self._refused.setdefault(
            command,
            Finding(
                level=Level.WARN,
                subject=subject,
                text=f"could not be looked at: {reply.text}",
                advice=f"ask as a user that may call {command}",
            ),
        )
        return None

    async def ask_each(self, subject: str, questions: list[tuple[object, ...]]) -> list[Any]:
        """Return the answers to many commands, some at a time."""
        answers: list[Any] = []
        for at in range(0, len(questions), AT_ONCE):
            some = questions[at : at + AT_ONCE]
            answers += await gather_all(self.ask(subject, *words) for words in some) if some else []
        return answers
