"""The server as the parts of the broker see it: operations that are repeated until they are done.

Everything that is sent here may be sent twice: scripts answer a repeated request as they
did the first time, or have nothing more to do. So a lost reply costs a repetition and
nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from itertools import count
from typing import Any, TypeVar

from aioq.errors import BrokerConfigError, BrokerFull, BrokerUnavailable
from aioq.retry import full_jitter
from aioq_redis.client.command import Command, Script
from aioq_redis.client.connection import access_denied
from aioq_redis.client.errors import ConnectionLost, ErrorReply, Unreachable
from aioq_redis.client.session import Session
from aioq_redis.client.url import Durability, Settings

__all__ = ["Client", "before_deadline", "gather_all"]

T = TypeVar("T")


async def gather_all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at the same time, and all to their end; then the first error is raised, if there is one."""
    tasks = list(calls)
    if len(tasks) <= 1:
        return [await task for task in tasks]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    answers: list[T] = []
    for answer in done:
        if isinstance(answer, BaseException):
            raise answer
        answers.append(answer)
    return answers


class Client:
    """One Redis or Valkey server, or several that act as one.

    Args:
        settings: Where it is.
        timeout: Seconds that one operation may take, repetitions included.
        durability: How many replicas must have what commands of `Session.stores` write.
        marker_key: Returns a key in the same hash slot as another, for the writes that replicas confirm.
    """

    def __init__(
        self, settings: Settings, *, timeout: float, durability: Durability, marker_key: Callable[[str], str]
    ) -> None:
        self._marker_key = marker_key
        self.name = settings.masked
        self._settings, self._durability = settings, durability
        self.timeout = timeout
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The connections in the running event loop.

        Raises:
            BrokerConfigError: The loop is not asyncio's, or not the one that connected.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise BrokerConfigError("the Redis broker runs on asyncio only, and no asyncio loop is running") from None
        if self._session is None or self._session.loop.is_closed():
            self._session = Session(self._settings, self._durability, self._marker_key)
        if self._session.loop is not loop:
            raise BrokerConfigError(f"the broker on {self.name} is in use in another event loop; close it there first")
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            session, self._session = self.session, None
            await session.close()

    async def run_script(
        self, script: Script, keys: Sequence[str], args: Sequence[object], find_mistyped: Callable[[], Awaitable[str]]
    ) -> Any:
        """Run a script and return its reply.

        Args:
            find_mistyped: Names the key that holds something else than the script expects.

        Raises:
            BrokerUnavailable: The server could not be reached, or was not ready, in time.
            BrokerConfigError: The server rejects the script, for a reason that will not pass.
            BrokerFull: The server has no memory left.
        """

        def send(session: Session, deadline: float) -> Coroutine[Any, Any, Any]:
            return before_deadline(session.pipeline.submit(Command(script, keys, args)), deadline)

        return await self.repeat(script.name, send, find_mistyped)

    async def command(self, *parts: object) -> Any:
        """Send a plain command and return its reply.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: As for `run_script`.
        """

        def send(session: Session, deadline: float) -> Coroutine[Any, Any, Any]:
            return before_deadline(session.pipeline.submit(Command(None, (), parts)), deadline)

        return await self.repeat(str(parts[0]), send)

    async def ask(self, *parts: object) -> Any:
        """Send a plain command, if anybody answers at all; an error reply is returned as a `ErrorReply`.

        Raises:
            BrokerUnavailable, BrokerConfigError: As for `run_script`.
        """
        return await self._try(lambda session: session.pipeline.submit(Command(None, (), parts)))

    async def everywhere(self, *parts: object) -> dict[str, Any] | ErrorReply:
        """As `ask`, to each server that takes writes; return their replies by place, or an error reply.

        Raises:
            BrokerUnavailable, BrokerConfigError: As for `run_script`.
        """
        replies: dict[str, Any] | ErrorReply = await self._try(lambda session: session.route.everywhere(parts))
        return replies

    async def _try(self, attempt: Callable[[Session], Awaitable[Any]]) -> Any:
        session, reason = self.session, f"no answer within {self.timeout:g} s"
        try:
            async with asyncio.timeout(self.timeout):
                for tries in count():
                    try:
                        return await attempt(session)
                    except ErrorReply as refusal:
                        return refusal
                    except ConnectionLost as error:
                        reason = str(error)
                        if session.closed or isinstance(error, Unreachable):
                            break
                    await asyncio.sleep(full_jitter(tries))
        except TimeoutError:
            pass
        raise self.unavailable(reason)

    async def repeat(
        self,
        what: str,
        attempt: Callable[[Session, float], Coroutine[Any, Any, T]],
        find_mistyped: Callable[[], Awaitable[str]] | None = None,
    ) -> T:
        """Try until it is done or the time is up.

        Args:
            what: The operation, for error messages.
            attempt: Is given the moment at which it is to raise `TimeoutError`; raises `ConnectionLost` when it is
                worth another try.
            find_mistyped: Names the key that holds something else than expected.

        Raises:
            BrokerUnavailable, BrokerConfigError, BrokerFull: As for `run_script`.
        """
        session = self.session
        deadline = session.loop.time() + self.timeout
        reason = f"no answer within {self.timeout:g} s"
        for tries in count(1):
            try:
                return await attempt(session, deadline)
            except TimeoutError:
                break
            except ErrorReply as refusal:
                if refusal.code == "WRONGTYPE" and find_mistyped is not None:
                    raise BrokerConfigError(f"{self.name} holds foreign data: {await find_mistyped()}") from None
                raise self.refused(what, refusal) from None
            except ConnectionLost as error:
                reason = f"{error} (try {tries})"
                if session.closed:
                    break
            pause = full_jitter(tries - 1)
            if session.loop.time() + pause >= deadline:
                break
            await asyncio.sleep(pause)
        raise self.unavailable(reason)

    def unavailable(self, reason: str) -> BrokerUnavailable:
        """Return the error for a server that cannot be reached now."""
        return BrokerUnavailable(
            f"{self.name} is unavailable: {reason}; check that the server is up and that the URL is right"
        )

    def refused(self, what: str, refusal: ErrorReply) -> Exception:
        """Return the error for an operation that the server refuses."""
        if refusal.code == "OOM":
            return BrokerFull(f"{self.name} has no room: it has reached its maxmemory; nothing was stored")
        if refusal.code == "NOAUTH":
            return access_denied(self.name, refusal)
        if refusal.code == "NOPERM":
            return BrokerConfigError(f"{self.name} does not permit {what}: {refusal.text}; extend the user's ACL")
        return BrokerConfigError(f"{self.name} refuses {what}: {refusal.text}")


async def before_deadline(reply: asyncio.Future[T], deadline: float) -> T:
    """Await a reply until a moment of the loop's clock.

    Raises:
        TimeoutError: It has not come by then.
    """
    # A third of what asyncio.timeout costs.
    alarm = reply.get_loop().call_at(deadline, _expire, reply)
    try:
        return await reply
    finally:
        alarm.cancel()


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
