"""Sends commands that a server may reject."""

from __future__ import annotations

from typing import Any, Final

from aioq.errors import BrokerUnavailable
from aioq.model.health import Finding, Level
from aioq_redis.client.errors import ErrorReply
from aioq_redis.storage.database import Database, gather_all

__all__ = ["Probes"]

MAX_CONCURRENT: Final = 500


class Probes:
    """Sends commands, and collects a finding for each command that the server rejects."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rejected: dict[str, Finding] = {}
        self.away: dict[str, BrokerUnavailable] = {}
        """The servers that do not answer, and why. They are asked once."""

    @property
    def rejected(self) -> list[Finding]:
        """A finding for each rejected command."""
        return list(self._rejected.values())

    async def ask(self, subject: str, *words: object) -> Any:
        """Return the reply to a command, None if the server rejects it; `subject` is what it would check.

        Raises:
            BrokerUnavailable: The server cannot be reached.
        """
        return self._note_rejection(subject, str(words[0]), await self._database.ask(*words))

    async def ask_everywhere(self, subject: str, *words: object) -> dict[str, Any] | None:
        """Return the replies of all servers that accept writes and answer, by address in a fixed order; see `ask`."""
        answers: dict[str, Any] = {}
        for server, reply in (await self._database.ask_all(*words, without=self.away)).items():
            if isinstance(reply, BrokerUnavailable):
                self.away[server] = reply
            elif self._note_rejection(subject, str(words[0]), reply) is None:
                return None
            else:
                answers[server] = reply
        return answers

    def _note_rejection(self, subject: str, command: str, reply: Any) -> Any:
        if not isinstance(reply, ErrorReply):
            return reply
        self._rejected.setdefault(
            command,
            Finding(
                level=Level.WARN,
                subject=subject,
                text=f"could not be checked: {reply.text}",
                advice=f"use a user that may call {command}",
            ),
        )
        return None

    async def ask_each(self, subject: str, commands: list[tuple[object, ...]]) -> list[Any]:
        """Return the replies to many commands; see `ask`. At most `MAX_CONCURRENT` are sent at a time."""
        answers: list[Any] = []
        for at in range(0, len(commands), MAX_CONCURRENT):
            batch = commands[at : at + MAX_CONCURRENT]
            answers += await gather_all(self.ask(subject, *words) for words in batch)
        return answers
